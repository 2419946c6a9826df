"""Live events for all open event streams of the process, read from Redis over one connection.

With one connection per open page, a thousand pages would exhaust the connection pool. A follower whose queue is full
reads the missing events from Redis itself.
"""

import asyncio
import contextlib
from collections.abc import AsyncGenerator
from dataclasses import dataclass, field

import redis
import redis.asyncio

from prunescope.jobs.events import Event, is_stream_id, read_async, read_many
from prunescope.jobs.problems import unavailable

MAX_STREAMS = 1000
"""Maximum number of open event streams in one process; each also queries the database from time to time."""
MAX_WAITING = 1000
"""Maximum number of events queued for one follower; it reads further ones from Redis."""
SILENCE_SECONDS = 10.0
"""Time without events after which a follower receives None."""
WITHOUT_REDIS_SECONDS = 1.0
"""While Redis does not answer: the interval at which it is tried again and followers receive None."""


@dataclass(eq=False)
class _Follower:
    events: asyncio.Queue[Event] = field(default_factory=lambda: asyncio.Queue(MAX_WAITING))
    behind: bool = False


class Feed:
    """Reads all Redis streams that have followers, in one task, which `close` ends. Used on one event loop only."""

    def __init__(self, client: redis.asyncio.Redis) -> None:
        self._client = client
        self._followers: dict[str, set[_Follower]] = {}
        self._places: dict[str, str] = {}
        self._changed = asyncio.Event()
        self._reader: asyncio.Task[None] | None = None
        self._reachable = True

    def check_room(self) -> None:
        """Raise Problem 503 if MAX_STREAMS are open already."""
        if sum(map(len, self._followers.values())) >= MAX_STREAMS:
            raise unavailable(
                "too-many-streams",
                "Too many open streams",
                f"{MAX_STREAMS} event streams are open, which is the most that the server holds; "
                f"close pages that are not needed, or ask for the job itself",
            )

    async def follow(self, stream: str, after: str) -> AsyncGenerator[Event | None]:
        """Yield the events of a stream after the id `after` ("0" or a text that is not a stream id: all stored events),
        then new ones, without end. Yields None after SILENCE_SECONDS without an event, and every
        WITHOUT_REDIS_SECONDS while Redis does not answer.
        """
        place = after if is_stream_id(after) else "0"
        follower = _Follower(behind=True)  # reads the stored events first
        self._join(stream, place, follower)
        try:
            while True:
                if follower.behind:
                    follower.behind = False
                    try:
                        missed = await read_async(self._client, stream, place)
                    except redis.RedisError:
                        follower.behind = True
                        await asyncio.sleep(WITHOUT_REDIS_SECONDS)
                        yield None
                        continue
                    for event in missed:
                        place = event.id
                        yield event
                patience = SILENCE_SECONDS if self._reachable else WITHOUT_REDIS_SECONDS
                try:
                    event = await asyncio.wait_for(follower.events.get(), patience)
                except TimeoutError:
                    yield None
                    continue
                if _order(event.id) > _order(place):
                    place = event.id
                    yield event
        finally:
            self._leave(stream, follower)

    async def close(self) -> None:
        """Stop reading; followers receive no further events."""
        if self._reader is not None:
            self._reader.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await self._reader
            self._reader = None

    def _join(self, stream: str, place: str, follower: _Follower) -> None:
        if stream not in self._followers:
            self._places[stream] = place
            self._changed.set()  # restarts the reader, which waits for the other streams only
        self._followers.setdefault(stream, set()).add(follower)
        if self._reader is None or self._reader.done():
            self._reader = asyncio.create_task(self._read())

    def _leave(self, stream: str, follower: _Follower) -> None:
        followers = self._followers[stream]
        followers.discard(follower)
        if not followers:
            del self._followers[stream], self._places[stream]

    async def _read(self) -> None:
        """Read until no stream has a follower; after an error of Redis, try again."""
        while self._places:
            self._changed.clear()
            reading = asyncio.ensure_future(read_many(self._client, dict(self._places)))
            changed = asyncio.ensure_future(self._changed.wait())
            try:
                await asyncio.wait({reading, changed}, return_when=asyncio.FIRST_COMPLETED)
                if not reading.done():
                    continue
                found = reading.result()
            except (redis.RedisError, OSError):
                self._reachable = False
                await asyncio.sleep(WITHOUT_REDIS_SECONDS)
                continue
            finally:
                reading.cancel()
                changed.cancel()
                await asyncio.gather(reading, changed, return_exceptions=True)
            self._reachable = True
            for stream, events in found.items():
                self._hand_out(stream, events)

    def _hand_out(self, stream: str, events: list[Event]) -> None:
        if not events or stream not in self._places:  # the last follower left during the read
            return
        self._places[stream] = events[-1].id
        for follower in self._followers[stream]:
            for event in events:
                if follower.events.full():
                    follower.behind = True
                    break
                follower.events.put_nowait(event)


def _order(place: str) -> tuple[int, int]:
    """A stream id as numbers, which can be compared; as texts, ids do not sort in order."""
    moment, _, number = place.partition("-")
    return int(moment), int(number or 0)
