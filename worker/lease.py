"""Holds the lease of a running job: a thread renews the lease and notices requests to stop."""

import logging
import threading
import time
from types import TracebackType

from prunescope.jobs.documents import Job
from prunescope.lm.errors import Cancelled
from prunescope.store.jobs.store import JobStore

log = logging.getLogger(__name__)

BEAT_SECONDS = 1.0
"""Interval in seconds at which the lease is renewed and a request to cancel is noticed."""


class Lease:
    """Context manager that renews a job's lease during the block. `check` raises Cancelled when the work has to stop.

    The work has to stop when a user cancels the job, when the lease has expired or another worker holds it, and when
    `stopping` is set. `holder` is the name under which the job was claimed, `seconds` the length of the lease.
    """

    def __init__(self, jobs: JobStore, job: Job, holder: str, seconds: float, stopping: threading.Event) -> None:
        self._jobs, self._job, self._holder, self._seconds = jobs, job, holder, seconds
        self._stopping = stopping
        self._lost = threading.Event()
        self._ended = threading.Event()
        self._thread = threading.Thread(target=self._keep, name=f"lease of {job.id}", daemon=True)

    def __enter__(self) -> "Lease":
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._ended.set()
        self._thread.join()

    def check(self) -> None:
        """Raise Cancelled when the work has to stop. Stages call this for every layer and every batch."""
        if self._lost.is_set() or self._stopping.is_set():
            raise Cancelled(f"job {self._job.id} has to stop")

    def _keep(self) -> None:
        renewed = time.monotonic()
        while not self._ended.wait(min(BEAT_SECONDS, self._seconds / 4)):
            try:
                if not self._jobs.renew(self._job.id, self._holder, self._seconds):
                    self._lost.set()
                    return
                renewed = time.monotonic()
            except Exception:  # any error of a database that cannot be reached
                log.warning("the lease of job %s was not renewed", self._job.id, exc_info=True)
                if time.monotonic() - renewed > self._seconds:
                    self._lost.set()
                    return
