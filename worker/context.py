"""The context of a stage: resolution of names, models, progress reports, cancellation."""

import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

from prunescope.jobs.documents import Progress
from prunescope.jobs.settings import Settings
from prunescope.worker.models import WarmModels

SETTLED = 2
"""Steps of a stage before the remaining time is estimated, because the first step is not representative."""


@dataclass
class Context:
    """What a stage gets besides its spec.

    `place_of` resolves a model reference to a folder or hub id, `file_of` a file's name to its path; both raise an
    error that a user can correct. `report` receives progress; `check` raises Cancelled when the work has to stop.
    """

    settings: Settings
    models: WarmModels
    place_of: Callable[[str], Path | str]
    file_of: Callable[[str], Path]
    report: Callable[[Progress], None]
    check: Callable[[], None]
    _stage: str = field(default="", init=False)
    _since: float = field(default=0.0, init=False)
    _before: int = field(default=0, init=False)
    _done: int = field(default=0, init=False)
    _at: float = field(default=0.0, init=False)

    def step(
        self, stage: str, done: int = 0, total: int = 0, unit: str = "", message: str = "", *, timed: bool = True
    ) -> None:
        """Report the stage's progress with an estimate of the remaining time. Raises Cancelled when the work has to
        stop.

        Further steps with the same `done` only change the message. A step that is not `timed` (a layer that an earlier
        run finished) is excluded from the estimate.
        """
        self.check()
        now = time.monotonic()
        if stage != self._stage or not timed:
            # A stage starts when the previous one ends, at which time the first report of the new stage comes.
            self._since, self._before = now, 0 if timed else done
        if stage != self._stage or done != self._done:
            self._stage, self._done, self._at = stage, done, now
        eta = self._eta(total, now)
        self.report(Progress(stage=stage, done=done, total=total, unit=unit, message=message, eta_seconds=eta))

    def _eta(self, total: int, now: float) -> float | None:
        timed = self._done - self._before
        if timed < SETTLED or self._done > total:
            return None
        return max(0.0, (self._at - self._since) / timed * (total - self._done) - (now - self._at))
