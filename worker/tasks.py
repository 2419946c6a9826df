"""The queue's only task, and the child process that runs it."""

import logging
import signal
import time
from typing import TYPE_CHECKING, Any

from celery import Celery
from celery.signals import worker_process_init, worker_process_shutdown

from prunescope.jobs.queue import RUN_TASK
from prunescope.jobs.settings import Settings
from prunescope.worker.lifetime import die_with_parent, wait_politely
from prunescope.worker.parts import Parts

if TYPE_CHECKING:
    from prunescope.worker.models import WarmModels

log = logging.getLogger(__name__)

GIVE_BACK = signal.SIGUSR2
"""The signal that makes the child process stop its job, which is queued again, at the next layer or batch."""


class Child:
    """The child process, which alone imports torch, opens its own connections, and caches models between jobs."""

    def __init__(self, settings: Settings, queue: Celery) -> None:
        self._settings, self._queue = settings, queue
        self._parts: Parts | None = None
        self._models: WarmModels | None = None

    def register(self) -> None:
        """Register the start, the task and the end of the child with Celery."""
        worker_process_init.connect(self.start, weak=False)
        worker_process_shutdown.connect(self.end, weak=False)
        self._queue.task(self.run, name=RUN_TASK)

    def start(self, **_: Any) -> None:
        """Set the process up, after the fork and before the first job."""
        parts = Parts.open(self._settings, self._queue)
        signal.signal(GIVE_BACK, lambda *_: parts.stopping.set())
        die_with_parent()
        wait_politely()
        began = time.monotonic()
        from transformers.utils import logging as transformers_logging

        import prunescope.worker.pipeline  # noqa: F401 - takes seconds, so it is done before the first job
        from prunescope.worker.models import WarmModels

        transformers_logging.disable_progress_bar()
        self._parts, self._models = parts, WarmModels(self._settings.device, self._settings.dtype)

        log.info("ready after %.1f s", time.monotonic() - began)

    def run(self, job_id: str) -> None:
        """Run the job with this id."""
        from prunescope.worker.pipeline import run

        assert self._parts is not None and self._models is not None
        run(job_id, self._parts, self._models)

    def end(self, **_: Any) -> None:
        """Clean up, before the process ends normally."""
        if self._parts is not None:
            self._parts.close()
