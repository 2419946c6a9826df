"""What a worker process works with: what is kept, the queue, events. Opened after the fork, in each process anew."""

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
    """The parts of one process. `stopping` is set when the worker is to end: the running job then goes back."""

    settings: Settings
    stores: Stores
    queue: Celery
    events: redis.Redis
    stopping: threading.Event = field(default_factory=threading.Event)

    @classmethod
    def open(cls, settings: Settings, queue: Celery) -> Self:
        """Connects to nothing before it is used."""
        return cls(settings, Stores.open(settings), queue, redis_client(settings))

    def close(self) -> None:
        """Close the connections."""
        self.stores.close()
        self.events.close()

    def lease_holder(self) -> str:
        """A name for this process and one job: a lease that was lost is not taken up again by mistake."""
        return f"{socket.gethostname()}:{os.getpid()}:{uuid4().hex[:8]}"

    def announce(self, job_id: str) -> None:
        """Tell the pages that the state of a job, and so perhaps of its studies, has changed."""
        job = self.stores.jobs.get(job_id)
        with _hints(job.id):
            for changed in (job, *self.stores.jobs.studies_of(job.id)):
                events.publish_job(self.events, changed)

    def say(self, job: Job, holder: str, progress: Progress) -> None:
        """Keep a job's progress and tell the pages."""
        if self.stores.jobs.progress(job.id, holder, progress):
            with _hints(job.id):
                events.publish_progress(self.events, job, progress)

    def note(self, job: Job, line: str) -> None:
        """Write a line to a job's log and tell the pages."""
        entry = self.stores.jobs.append_log(job.id, line)
        with _hints(job.id):
            events.publish_log(self.events, job.id, entry)

    def dispatch(self, ids: Iterable[str]) -> None:
        """Send the messages of queued jobs; when the queue cannot be reached they wait for the next sweep."""
        submission.dispatch(self.stores.jobs, ids, partial(send, self.queue))

    def sweep(self) -> None:
        """Queue again what lost its worker, and send what has no message."""
        for job in submission.sweep(self.stores.jobs, partial(send, self.queue), partial(waiting, self.events)):
            log.warning("job %s lost its worker and is queued again", job)
            self.announce(job)


@contextlib.contextmanager
def _hints(job_id: str) -> Iterator[None]:
    """Events are hints, pages read the job itself: a Redis that cannot be reached stops nothing."""
    try:
        yield
    except redis.RedisError as error:
        log.warning("an event of job %s was not sent: %s", job_id, error)
