"""A job's progress on its way out: often enough for a person, seldom enough for a database."""

import time
from collections.abc import Callable

from jobs.documents import Progress

PAUSE_SECONDS = 0.25


class Reporter:
    """Passes progress on, and a line of log for every new stage and every layer; batches come too often for that."""

    def __init__(self, say: Callable[[Progress], None], note: Callable[[str], None]) -> None:
        self._say, self._note = say, note
        self._stage: str | None = None
        self._last = -PAUSE_SECONDS

    def report(self, progress: Progress) -> None:
        """Take one step; a step that comes soon after another of its stage is left out, but for the stage's last."""
        new_stage = progress.stage != self._stage
        ended = progress.total > 0 and progress.done == progress.total
        if new_stage:
            self._stage = progress.stage
            self._note(f"{progress.stage} {progress.message}".strip())
        elif progress.unit == "layers":
            self._note(f"{progress.stage}: layer {progress.done} of {progress.total} {progress.message}".strip())
        now = time.monotonic()
        if new_stage or ended or now - self._last >= PAUSE_SECONDS:
            self._last = now
            self._say(progress)
