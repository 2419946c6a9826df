"""Everything that requests read and write, made once for the application and handed on through its state."""

import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated

import redis
import redis.asyncio
from celery import Celery
from fastapi import Depends, Request

from jobs.problems import not_found
from jobs.queue import async_redis_client, celery_app, redis_client
from jobs.settings import Settings
from server.read.opened import OpenAttributions, Whereabouts
from store.artefacts import Artefacts
from store.database import Database
from store.jobs import JobStore
from store.results import Results
from store.shares import ShareStore

REMOTE_SECONDS = 60.0
"""How long a remote artefact is taken to be there after it was seen."""


@dataclass
class Places:
    """Where attributions lie; a remote store is not asked again for every request."""

    artefacts: Artefacts
    seen: dict[str, float] = field(default_factory=dict)

    def find(self, id: str) -> Whereabouts:
        """Problem 404 when there is no such attribution."""
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
class Stores:
    """Handles, all safe to use from the threads that requests run in."""

    settings: Settings
    database: Database
    artefacts: Artefacts
    jobs: JobStore
    results: Results
    shares: ShareStore
    attributions: OpenAttributions
    queue: Celery
    redis: redis.Redis
    events: redis.asyncio.Redis

    @classmethod
    def of(cls, settings: Settings) -> "Stores":
        """Nothing connects yet."""
        database = Database(settings.resolved_database_url)
        cache = Path(settings.resolved_home) / "cache"
        artefacts = Artefacts(settings.resolved_artefacts_url, cache)
        return cls(
            settings=settings,
            database=database,
            artefacts=artefacts,
            jobs=JobStore(database),
            results=Results(database, artefacts),
            shares=ShareStore(database),
            attributions=OpenAttributions(Places(artefacts).find),
            queue=celery_app(settings),
            redis=redis_client(settings),
            events=async_redis_client(settings),
        )

    async def close(self) -> None:
        await self.events.aclose()
        self.redis.close()
        self.queue.close()
        self.database.dispose()


def stores_of(request: Request) -> Stores:
    """The application's stores, for routes."""
    stores: Stores = request.app.state.stores
    return stores


StoresHere = Annotated[Stores, Depends(stores_of)]
