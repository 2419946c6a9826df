"""Database, artefacts, queue and caches that requests use, created once per application."""

import asyncio
import time
from collections import deque
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, field
from functools import partial
from typing import Annotated, Self

import redis
import redis.asyncio
from celery import Celery
from fastapi import Depends, Request

from prunescope.jobs.documents import JobSummary
from prunescope.jobs.problems import not_found
from prunescope.jobs.queue import ANSWER_SECONDS, async_redis_client, celery_app, redis_client, send
from prunescope.jobs.settings import Settings
from prunescope.server.attributions.opened import AttributionLocation, OpenAttributions
from prunescope.server.feed import Feed
from prunescope.server.limits import Turns
from prunescope.store import submission
from prunescope.store.artefacts.folders import Artefacts
from prunescope.store.artefacts.names import RecordNames

DATABASE_SECONDS = 5.0
"""Maximum time that a request waits for a database connection, and for one statement."""
REMOTE_SECONDS = 60.0
"""Time for which a remote artefact that was found is assumed to exist."""
MAX_UNPUBLISHED = 2000


@dataclass
class AttributionLocator:
    """Locates attributions; in remote storage, the existence of each is checked once per REMOTE_SECONDS."""

    artefacts: Artefacts
    seen: dict[str, float] = field(default_factory=dict)

    def find(self, id: str) -> AttributionLocation:
        """The location of an attribution. Raises Problem 404 if it does not exist."""
        folder = self.artefacts.local_path("attribution", id)
        if folder is not None:
            try:
                return AttributionLocation(str(folder), str((folder / "zarr.json").stat().st_mtime_ns))
            except (FileNotFoundError, NotADirectoryError):
                raise not_found("attribution", id) from None
        now = time.monotonic()
        if now - self.seen.get(id, -REMOTE_SECONDS) >= REMOTE_SECONDS:
            if not self.artefacts.exists("attribution", id):
                raise not_found("attribution", id)
            self.seen[id] = now
        return AttributionLocation(self.artefacts.path("attribution", id), "remote")


class Outbox:
    """Jobs that requests created or changed and that the sweeper has yet to publish and send, so that no request waits
    for Redis. Filled from any thread, emptied by one task on the event loop.

    If the server ends, or if there are more than MAX_UNPUBLISHED jobs, only events are lost: the database records which
    jobs have not been sent, and the next sweep sends them.
    """

    def __init__(self) -> None:
        self._jobs: deque[JobSummary] = deque(maxlen=MAX_UNPUBLISHED)
        self._wake: Callable[[], object] | None = None

    def put(self, *jobs: JobSummary) -> None:
        """Add jobs and wake the task in `wait`."""
        self._jobs.extend(jobs)
        if self._wake is not None:
            with suppress(RuntimeError):  # the event loop has ended with the server
                self._wake()

    def take(self) -> list[JobSummary]:
        """Remove and return all jobs, oldest first."""
        return [self._jobs.popleft() for _ in range(len(self._jobs))]

    async def wait(self, seconds: float) -> None:
        """Return as soon as there is a job, at the latest after the given seconds."""
        filled = asyncio.Event()
        self._wake = partial(asyncio.get_running_loop().call_soon_threadsafe, filled.set)
        if not self._jobs:  # checked after `_wake` is set, so that no `put` is missed
            with suppress(TimeoutError):
                await asyncio.wait_for(filled.wait(), seconds)


@dataclass(frozen=True)
class Stores(submission.Stores):
    """All stores of the server; thread-safe."""

    names: RecordNames
    attributions: OpenAttributions
    queue: Celery
    redis: redis.Redis
    events: redis.asyncio.Redis
    feed: Feed
    outbox: Outbox
    submissions: Turns
    """Queue of requests that submit a job."""
    drawings: Turns
    """Queue of requests that draw a figure."""

    @classmethod
    def open(cls, settings: Settings, *, answer_seconds: float | None = DATABASE_SECONDS) -> Self:
        """The stores of these settings; nothing is connected yet. `answer_seconds`: see `Database`."""
        base = submission.Stores.open(settings, answer_seconds=answer_seconds)
        events = async_redis_client(settings)
        names = RecordNames(base.results, settings)
        return cls(
            **vars(base),
            names=names,
            attributions=OpenAttributions(AttributionLocator(base.artefacts).find, names),
            queue=producer(settings),
            redis=redis_client(settings),
            events=events,
            feed=Feed(events),
            outbox=Outbox(),
            submissions=Turns(),
            drawings=Turns(),
        )

    def send(self, job: str) -> None:
        """Send a job's message to the queue; only the sweeper does this. Raises QueueUnavailable."""
        send(self.queue, job)

    def announce(self, *jobs: JobSummary) -> None:
        """Let the sweeper publish events for jobs that were created or changed, and send those that are ready."""
        self.outbox.put(*jobs)

    async def close_all(self) -> None:
        """Close every connection."""
        await self.feed.close()
        await self.events.aclose()
        self.redis.close()
        self.queue.close()
        self.close()


def producer(settings: Settings) -> Celery:
    """A Celery application that fails at once if Redis does not answer; by default it would retry for six seconds."""
    app = celery_app(settings)
    retries = {"max_retries": 1, "interval_start": 0, "interval_step": 0, "interval_max": 0}
    limits = {**retries, "socket_timeout": ANSWER_SECONDS}
    app.conf.broker_transport_options = {**app.conf.broker_transport_options, **limits}
    return app


def stores_of(request: Request) -> Stores:
    """The application's stores; the dependency behind `StoresHere`."""
    stores: Stores = request.app.state.stores
    return stores


StoresHere = Annotated[Stores, Depends(stores_of)]
