"""The sweeper: every few seconds it takes jobs back from workers that fell silent and sends what has no message yet."""

import asyncio
import logging
from functools import partial

from fastapi.concurrency import run_in_threadpool

from jobs.queue import waiting
from server.stores import Stores
from store.submission import sweep

logger = logging.getLogger(__name__)


async def sweep_for_ever(stores: Stores) -> None:
    """Runs until it is cancelled; a failed round is logged, and the next one comes all the same."""
    while True:
        try:
            await run_in_threadpool(_sweep, stores)
        except Exception:
            logger.exception("the sweep failed; it is tried again in %g seconds", stores.settings.sweep_seconds)
        await asyncio.sleep(stores.settings.sweep_seconds)


def _sweep(stores: Stores) -> None:
    for id in sweep(stores.jobs, stores.send, partial(waiting, stores.redis)):
        logger.warning("job %s was taken from a worker that fell silent and is queued again", id)
        stores.announce(stores.jobs.summary(id), *stores.jobs.studies_of(id))
