"""What a stage is given beside its spec: where names lead, models, and how to say how far it is."""

import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

from prunescope.jobs.documents import Progress
from prunescope.jobs.settings import Settings
from prunescope.worker.models import WarmModels

SETTLED = 2
"""Steps of a stage before a remaining time is given: the first one is never like the others."""


@dataclass
class Context:
    """The surroundings of a stage.

    `place_of` gives the folder (or hub id) behind a model reference, `file_of` the path behind a file's name; both
    raise an error that a user can mend. `report` takes progress, `check` raises Cancelled when the work is to stop.
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
        """Say how far the stage is, with an estimate of what is left; raises Cancelled when the work is to stop.

        Steps with the same `done` tell what is worked on meanwhile. One that is not `timed` (a layer that an earlier
        run had finished) says nothing of how long the others take.
        """
        self.check()
        now = time.monotonic()
        if stage != self._stage or not timed:
            # The clock of a stage starts where the one before it ended, which its first report is the first sign of.
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
