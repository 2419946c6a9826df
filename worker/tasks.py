"""The only task of the queue, and the child process that runs it."""

import logging
import signal
import time
from typing import TYPE_CHECKING, Any

from celery import Celery
from celery.signals import worker_process_init, worker_process_shutdown

from prunescope.jobs.queue import RUN_TASK
from prunescope.jobs.settings import Settings
from prunescope.worker.lifetime import die_with_parent, wait_passively
from prunescope.worker.parts import Parts

if TYPE_CHECKING:
    from prunescope.worker.models import ModelCache

log = logging.getLogger(__name__)

STOP_JOB = signal.SIGUSR2
"""The signal on which the child process stops its job at the next layer or batch. The job is then queued again."""


class Child:
    """The child process. Only this process imports torch; it has its own connections and caches models between jobs."""

    def __init__(self, settings: Settings, queue: Celery) -> None:
        self._settings, self._queue = settings, queue
        self._parts: Parts | None = None
        self._models: ModelCache | None = None

    def register(self) -> None:
        """Register `start`, `run` and `end` with Celery: the child's initialisation, the task, and the child's end."""
        worker_process_init.connect(self.start, weak=False)
        worker_process_shutdown.connect(self.end, weak=False)
        self._queue.task(self.run, name=RUN_TASK)

    def start(self, **_: Any) -> None:
        """Initialise the process, after the fork and before the first job."""
        parts = Parts.open(self._settings, self._queue)
        signal.signal(STOP_JOB, lambda *_: parts.stopping.set())
        die_with_parent()
        wait_passively()
        began = time.monotonic()
        from transformers.utils import logging as transformers_logging

        import prunescope.worker.pipeline  # noqa: F401 - takes seconds, so it is done before the first job
        from prunescope.worker.models import ModelCache

        transformers_logging.disable_progress_bar()
        self._parts, self._models = parts, ModelCache(self._settings.device, self._settings.dtype)

        log.info("ready after %.1f s", time.monotonic() - began)

    def run(self, job_id: str) -> None:
        """Run the job with this id."""
        from prunescope.worker.pipeline import run

        assert self._parts is not None and self._models is not None
        run(job_id, self._parts, self._models)

    def end(self, **_: Any) -> None:
        """Close the connections, before the process ends normally."""
        if self._parts is not None:
            self._parts.close()
