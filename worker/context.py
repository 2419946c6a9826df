"""The context in which a stage runs: settings, models, resolution of names, progress reports, cancellation."""

import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

from prunescope.jobs.documents import Progress
from prunescope.jobs.settings import Settings
from prunescope.lm.loading import LanguageModel
from prunescope.worker.models import ModelCache

MIN_TIMED_STEPS = 2
"""Number of steps of a stage after which the remaining time is estimated, because the first step is not
representative."""


@dataclass
class Context:
    """Everything that a stage needs besides its spec.

    `place_of` resolves a model reference to a folder or hub id, `file_of` the name of a file to its path; both raise an
    exception that the user can correct. `report` is the callback for progress; `check` raises Cancelled when the work
    has to stop.
    """

    settings: Settings
    models: ModelCache
    place_of: Callable[[str], Path | str]
    file_of: Callable[[str], Path]
    report: Callable[[Progress], None]
    check: Callable[[], None]
    _stage: str = field(default="", init=False)
    _since: float = field(default=0.0, init=False)
    _before: int = field(default=0, init=False)
    _done: int = field(default=0, init=False)
    _at: float = field(default=0.0, init=False)

    def model(self, reference: str) -> LanguageModel:
        """Load a model, or take it from the cache; it must not be changed. Raises the errors of `lm.loading.load`."""
        self.step("load", message=reference)
        return self.models.get(self.place_of(reference), reference)

    def step(
        self, stage: str, done: int = 0, total: int = 0, unit: str = "", message: str = "", *, timed: bool = True
    ) -> None:
        """Report progress: `done` of `total` units of a stage, with an estimate of the remaining time. Raises Cancelled
        when the work has to stop.

        Another call with the same `done` only changes the message. A step with `timed` False (a layer that an earlier
        run finished) is excluded from the estimate.
        """
        self.check()
        now = time.monotonic()
        if stage != self._stage or not timed:
            # The first report of a stage comes when the stage begins.
            self._since, self._before = now, 0 if timed else done
        if stage != self._stage or done != self._done:
            self._stage, self._done, self._at = stage, done, now
        eta = self._eta(total, now)
        self.report(Progress(stage=stage, done=done, total=total, unit=unit, message=message, eta_seconds=eta))

    def _eta(self, total: int, now: float) -> float | None:
        timed = self._done - self._before
        if timed < MIN_TIMED_STEPS or self._done > total:
            return None
        return max(0.0, (self._at - self._since) / timed * (total - self._done) - (now - self._at))
