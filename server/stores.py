"""Database, artefacts, queue and caches that requests use, made once for each application."""

import time
from dataclasses import dataclass, field
from typing import Annotated, Self

import redis
import redis.asyncio
from celery import Celery
from fastapi import Depends, Request

from prunescope.jobs.documents import JobSummary
from prunescope.jobs.problems import not_found
from prunescope.jobs.queue import ANSWER_SECONDS, async_redis_client, celery_app, redis_client, send
from prunescope.jobs.settings import Settings
from prunescope.server.attributions.opened import OpenAttributions, Whereabouts
from prunescope.server.feed import Feed
from prunescope.server.limits import Turns
from prunescope.server.outbox import Outbox
from prunescope.server.record_names import RecordNames
from prunescope.store import submission
from prunescope.store.artefacts.folders import Artefacts

DATABASE_SECONDS = 5.0
"""How long a request waits for the database, for one statement or for a connection."""
REMOTE_SECONDS = 60.0
"""How long a remote artefact is taken to be there after it was seen."""


@dataclass
class Places:
    """Finds the folders of attributions; a remote store is asked at most once a minute for each."""

    artefacts: Artefacts
    seen: dict[str, float] = field(default_factory=dict)

    def find(self, id: str) -> Whereabouts:
        """The location of an attribution. Problem 404 for an unknown one."""
        folder = self.artefacts.local_path("attribution", id)
        if folder is not None:
            try:
                return Whereabouts(str(folder), str((folder / "zarr.json").stat().st_mtime_ns))
            except (FileNotFoundError, NotADirectoryError):
                raise not_found("attribution", id) from None
        now = time.monotonic()
        if now - self.seen.get(id, -REMOTE_SECONDS) >= REMOTE_SECONDS:
            if not self.artefacts.exists("attribution", id):
                raise not_found("attribution", id)
            self.seen[id] = now
        return Whereabouts(self.artefacts.path("attribution", id), "remote")


@dataclass(frozen=True)
class Stores(submission.Stores):
    """All stores of the server; safe to use from the threads that requests run in."""

    names: RecordNames
    attributions: OpenAttributions
    queue: Celery
    redis: redis.Redis
    events: redis.asyncio.Redis
    feed: Feed
    outbox: Outbox
    submissions: Turns
    """Requests that check and store a spec."""
    drawings: Turns
    """Requests that draw a figure."""

    @classmethod
    def open(cls, settings: Settings, *, answer_seconds: float | None = DATABASE_SECONDS) -> Self:
        """Connects to nothing yet; `database.migrate()` comes first at a start. `answer_seconds`: see `Database`."""
        kept = submission.Stores.open(settings, answer_seconds=answer_seconds)
        events = async_redis_client(settings)
        names = RecordNames(kept.results, settings)
        return cls(
            **vars(kept),
            names=names,
            attributions=OpenAttributions(Places(kept.artefacts).find, names),
            queue=producer(settings),
            redis=redis_client(settings),
            events=events,
            feed=Feed(events),
            outbox=Outbox(),
            submissions=Turns(),
            drawings=Turns(),
        )

    def send(self, job: str) -> None:
        """Hand a job's id to the queue; QueueUnavailable when it cannot be reached. For the sweeper: a request leaves
        it to that one (`outbox`) and never waits for Redis."""
        send(self.queue, job)

    def announce(self, *jobs: JobSummary) -> None:
        """Tell everybody who watches that these jobs were made or changed, and send what is ready: both by the sweeper,
        in a moment. Events are hints: without Redis nobody hears them, and nothing is lost."""
        self.outbox.put(*jobs)

    async def close_all(self) -> None:
        """Close every connection."""
        await self.feed.close()
        await self.events.aclose()
        self.redis.close()
        self.queue.close()
        self.close()


def producer(settings: Settings) -> Celery:
    """The Celery application of a sender that does not wait: by default it would retry for six seconds without Redis.

    The job stays queued in the database, and the sweeper sends it later.
    """
    app = celery_app(settings)
    impatient = {"max_retries": 1, "interval_start": 0, "interval_step": 0, "interval_max": 0}
    limits = {"socket_timeout": ANSWER_SECONDS}
    app.conf.broker_transport_options = {**app.conf.broker_transport_options, **impatient, **limits}
    return app


def stores_of(request: Request) -> Stores:
    """The application's stores, for routes."""
    stores: Stores = request.app.state.stores
    return stores


StoresHere = Annotated[Stores, Depends(stores_of)]
