"""Jobs that requests made or changed, until the sweeper has announced and sent them.

A request so never waits for Redis. What is lost here (a server that ends, more than MAX_WAITING) is no job's message:
the database knows which jobs have none, and the next sweep sends it.
"""

import asyncio
import contextlib
from collections import deque

from prunescope.jobs.documents import JobSummary

MAX_WAITING = 2000


class Outbox:
    """Filled from any thread, emptied by the one task on the event loop that waits for it."""

    def __init__(self) -> None:
        self._jobs: deque[JobSummary] = deque(maxlen=MAX_WAITING)
        self._filled: asyncio.Event | None = None
        self._loop: asyncio.AbstractEventLoop | None = None

    def put(self, *jobs: JobSummary) -> None:
        """Adds jobs that the sweeper is to announce and, if they are ready, to send."""
        self._jobs.extend(jobs)
        if self._loop is not None and self._filled is not None:
            with contextlib.suppress(RuntimeError):  # the loop has ended, and the server with it
                self._loop.call_soon_threadsafe(self._filled.set)

    def take(self) -> list[JobSummary]:
        """Removes and returns all waiting jobs, oldest first."""
        taken: list[JobSummary] = []
        with contextlib.suppress(IndexError):
            while True:
                taken.append(self._jobs.popleft())
        return taken

    async def wait(self, seconds: float) -> None:
        """Waits until a job is added, at most the given seconds."""
        loop = asyncio.get_running_loop()
        if self._filled is None or self._loop is not loop:
            self._loop, self._filled = loop, asyncio.Event()
            if self._jobs:
                return
        filled = self._filled
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(filled.wait(), seconds)
        filled.clear()
