"""The sweeper: every few seconds, and at once after a request that made or changed a job, it announces what happened,
takes jobs back from workers that fell silent and sends what has no message yet."""

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
    """Runs until it is cancelled; an error is logged, and the next round follows."""
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
    except redis.RedisError as error:  # what waited is dropped: whoever watches asks the database meanwhile
        logger.warning("live events are lost: Redis does not answer (%s)", error)
    for id in sweep(stores.jobs, stores.send, partial(waiting, stores.redis)):
        logger.warning("job %s was taken from a worker that fell silent and is queued again", id)
        # The next round follows at once and announces them.
        stores.outbox.put(stores.jobs.summary(id), *stores.jobs.studies_of(id))
