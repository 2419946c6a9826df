"""The sweeper, a task of the server that runs every few seconds, and at once after a request that created or changed a
job. It publishes the changes, queues jobs with expired leases again, and sends messages for jobs that have none."""

import logging
from functools import partial

import redis
from fastapi.concurrency import run_in_threadpool

from prunescope.jobs.events import publish_job
from prunescope.jobs.queue import waiting
from prunescope.server.stores import Stores
from prunescope.store.submission import sweep

logger = logging.getLogger(__name__)


async def sweep_for_ever(stores: Stores) -> None:
    """Sweep until cancelled. An error is logged and does not end the loop."""
    while True:
        try:
            await run_in_threadpool(_sweep, stores)
        except Exception:
            logger.exception("the sweep failed; it is tried again in %g seconds", stores.settings.sweep_seconds)
        await stores.outbox.wait(stores.settings.sweep_seconds)


def _sweep(stores: Stores) -> None:
    try:
        for job in stores.outbox.take():
            publish_job(stores.redis, job)
    except redis.RedisError as error:  # the events are dropped: event streams also query the database
        logger.warning("live events are lost: Redis does not answer (%s)", error)
    for id in sweep(stores.jobs, stores.send, partial(waiting, stores.redis)):
        logger.warning("job %s is queued again: its worker has not renewed the lease", id)
        # The next sweep follows at once and publishes these changes.
        stores.outbox.put(stores.jobs.summary(id), *stores.jobs.studies_of(id))
