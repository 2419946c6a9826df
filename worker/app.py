"""The worker: a parent process that receives messages from the queue and never imports torch, and one child process
that runs the jobs."""

import logging
import os
from typing import Any

from billiard import active_children
from celery import Celery
from celery.signals import worker_ready, worker_shutting_down

from prunescope.jobs.queue import QUEUE, celery_app
from prunescope.jobs.settings import Settings
from prunescope.store.database import Database
from prunescope.worker.catching_up import catch_up_attributions, catch_up_evaluations, catch_up_labels
from prunescope.worker.parts import Parts
from prunescope.worker.tasks import STOP_JOB, Child

log = logging.getLogger(__name__)

START_SECONDS = 300.0
"""Time limit for the start of the child, which imports torch; Celery's default of 4 s is too short on a busy
machine."""


def create_app(settings: Settings) -> Celery:
    """Create the worker's Celery application with its only task."""
    app = celery_app(settings)
    app.conf.worker_proc_alive_timeout = START_SECONDS
    Child(settings, app).register()
    return app


def run(settings: Settings) -> int:
    """Run jobs until SIGTERM or Ctrl-C; then the running job is queued again. Returns the exit code."""
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(levelname)s %(processName)s %(name)s: %(message)s")
    database = Database(settings.resolved_database_url)
    database.migrate()
    database.dispose()  # the child must not inherit connections
    app = create_app(settings)
    parts = Parts.open(settings, app)
    if removed := parts.stores.artefacts.remove_abandoned():
        log.info("%d incomplete artefacts of killed workers were removed", removed)
    if labelled := catch_up_labels(parts.stores):
        log.info("%d evaluations of an earlier version got the AUC and the label prior of their tasks", labelled)
    # After the labels: evaluations with an AUC are paired by it, too.
    if paired := catch_up_evaluations(parts.stores):
        log.info("%d evaluations of an earlier version were paired with their dense models", paired)
    if summarised := catch_up_attributions(parts.stores):
        log.info("%d attributions of an earlier version were summarised for lists", summarised)
    parts.stores.database.dispose()

    def sweep() -> None:
        try:
            parts.sweep()
        except Exception:  # database or queue not reachable: the next sweep tries again
            log.warning("the sweep failed", exc_info=True)

    def ready(sender: Any, **_: Any) -> None:
        # On the event loop's timer instead of in a thread, because the parent may fork another child at any time.
        sender.timer.call_repeatedly(settings.sweep_seconds, sweep)
        sweep()

    def shutting_down(**_: Any) -> None:
        for child in active_children():
            os.kill(child.pid, STOP_JOB)

    worker_ready.connect(ready, weak=False)
    worker_shutting_down.connect(shutting_down, weak=False)
    worker = app.Worker(
        pool="prefork",
        concurrency=1,
        queues=[QUEUE],
        loglevel="INFO",
        optimization="fair",
        without_gossip=True,
        without_mingle=True,
        without_heartbeat=True,
    )
    worker.start()
    return int(worker.exitcode or 0)
