"""Jobs that requests made or changed, until the sweeper has announced and sent them.

A request so never waits for Redis. What is lost here (a server that ends, more than MAX_WAITING) is no job's message:
the database knows which jobs have none, and the next sweep sends it.
"""

import asyncio
import contextlib
from collections import deque
from collections.abc import Callable
from functools import partial

from prunescope.jobs.documents import JobSummary

MAX_WAITING = 2000


class Outbox:
    """Filled from any thread, emptied by the one task on the event loop that waits for it."""

    def __init__(self) -> None:
        self._jobs: deque[JobSummary] = deque(maxlen=MAX_WAITING)
        self._wake: Callable[[], object] | None = None

    def put(self, *jobs: JobSummary) -> None:
        """Adds jobs that the sweeper is to announce and, if they are ready, to send."""
        self._jobs.extend(jobs)
        if self._wake is not None:
            with contextlib.suppress(RuntimeError):  # the loop has ended, and the server with it
                self._wake()

    def take(self) -> list[JobSummary]:
        """Removes and returns all waiting jobs, oldest first."""
        taken: list[JobSummary] = []
        while self._jobs:
            taken.append(self._jobs.popleft())
        return taken

    async def wait(self, seconds: float) -> None:
        """Waits until a job is there, at most the given seconds."""
        filled = asyncio.Event()
        self._wake = partial(asyncio.get_running_loop().call_soon_threadsafe, filled.set)
        if not self._jobs:  # asked after `put` can wake this task: none is missed in between
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(filled.wait(), seconds)
