"""The connections of a worker process to database, artefacts, queue and events. Each process opens its own connections
after the fork."""

import contextlib
import logging
import os
import socket
import threading
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from functools import partial
from typing import Self
from uuid import uuid4

import redis
from celery import Celery

from prunescope.jobs import events
from prunescope.jobs.documents import Job, Progress
from prunescope.jobs.queue import redis_client, send, waiting
from prunescope.jobs.settings import Settings
from prunescope.store import submission
from prunescope.store.submission import Stores

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Parts:
    """The settings and connections of one process. `stopping` is set when the worker has to end; the running job is
    then queued again."""

    settings: Settings
    stores: Stores
    queue: Celery
    events: redis.Redis
    stopping: threading.Event = field(default_factory=threading.Event)

    @classmethod
    def open(cls, settings: Settings, queue: Celery) -> Self:
        """Create the clients. Each client connects when it is first used."""
        return cls(settings, Stores.open(settings), queue, redis_client(settings))

    def close(self) -> None:
        """Close the connections."""
        self.stores.close()
        self.events.close()

    def lease_holder(self) -> str:
        """A new, unique name under which this process claims a job. It differs for each attempt, so that an earlier
        attempt of the same process cannot renew the lease of a later one."""
        return f"{socket.gethostname()}:{os.getpid()}:{uuid4().hex[:8]}"

    def announce(self, job_id: str) -> None:
        """Publish the state of a job and of the studies that it belongs to."""
        job = self.stores.jobs.get(job_id)
        with _events_optional(job.id):
            for changed in (job, *self.stores.jobs.studies_of(job.id)):
                events.publish_job(self.events, changed)

    def store_progress(self, job: Job, holder: str, progress: Progress) -> None:
        """Store a job's progress and publish it; no effect if `holder` no longer has the lease."""
        if self.stores.jobs.progress(job.id, holder, progress):
            with _events_optional(job.id):
                events.publish_progress(self.events, job, progress)

    def add_log_line(self, job: Job, line: str) -> None:
        """Append a line to a job's log and publish it."""
        entry = self.stores.jobs.append_log(job.id, line)
        with _events_optional(job.id):
            events.publish_log(self.events, job.id, entry)

    def dispatch(self, ids: Iterable[str]) -> None:
        """Send the queue messages of these jobs. If the queue cannot be reached, the next sweep sends them."""
        submission.dispatch(self.stores.jobs, ids, partial(send, self.queue))

    def sweep(self) -> None:
        """Queue jobs with expired leases again, and send messages for queued jobs that have none."""
        for job in submission.sweep(self.stores.jobs, partial(send, self.queue), partial(waiting, self.events)):
            log.warning("job %s lost its worker and is queued again", job)
            self.announce(job)


@contextlib.contextmanager
def _events_optional(job_id: str) -> Iterator[None]:
    """Context manager: log errors of Redis and continue. Events may be lost, because pages also read the job from the
    database."""
    try:
        yield
    except redis.RedisError as error:
        log.warning("an event of job %s was not sent: %s", job_id, error)
