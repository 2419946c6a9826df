"""Jobs that requests created or changed and that the sweeper has yet to publish and send, so that no request waits for
Redis.

If the server ends, or if there are more than MAX_WAITING jobs, only events are lost: the database records which jobs
have not been sent, and the next sweep sends them.
"""

import asyncio
import contextlib
from collections import deque
from collections.abc import Callable
from functools import partial

from prunescope.jobs.documents import JobSummary

MAX_WAITING = 2000


class Outbox:
    """A queue of jobs, filled from any thread and emptied by one task on the event loop."""

    def __init__(self) -> None:
        self._jobs: deque[JobSummary] = deque(maxlen=MAX_WAITING)
        self._wake: Callable[[], object] | None = None

    def put(self, *jobs: JobSummary) -> None:
        """Add jobs and wake the task in `wait`."""
        self._jobs.extend(jobs)
        if self._wake is not None:
            with contextlib.suppress(RuntimeError):  # the event loop has ended with the server
                self._wake()

    def take(self) -> list[JobSummary]:
        """Remove and return all jobs, oldest first."""
        return [self._jobs.popleft() for _ in range(len(self._jobs))]

    async def wait(self, seconds: float) -> None:
        """Return as soon as there is a job, at the latest after the given seconds."""
        filled = asyncio.Event()
        self._wake = partial(asyncio.get_running_loop().call_soon_threadsafe, filled.set)
        if not self._jobs:  # checked after `_wake` is set, so that no `put` is missed
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(filled.wait(), seconds)
