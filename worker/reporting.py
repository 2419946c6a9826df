"""Throttles a job's progress reports, and writes its log."""

import time
from collections.abc import Callable
from typing import TYPE_CHECKING

from prunescope.jobs.documents import Progress

if TYPE_CHECKING:
    from prunescope.pruning.reports import LayerReport

PAUSE_SECONDS = 0.25
"""Minimum interval between two forwarded reports of a stage."""


class Reporter:
    """Forwards progress reports to `say`, and writes log lines with `note`: one for each new stage, each finished
    layer, each text whose words were found, and the last message of a stage. Matrices and batches have no log lines."""

    def __init__(self, say: Callable[[Progress], None], note: Callable[[str], None]) -> None:
        self._say, self._note = say, note
        self._stage: str | None = None
        self._layers = 0
        self._last = -PAUSE_SECONDS

    def report(self, progress: Progress) -> None:
        """Forward a progress report. A report that comes within PAUSE_SECONDS of the last forwarded one is dropped,
        unless it is the first or the last of its stage."""
        new_stage = progress.stage != self._stage
        ended = progress.total > 0 and progress.done == progress.total
        if new_stage:
            self._stage, self._layers = progress.stage, progress.done
            self._note(f"{progress.stage} {progress.message}".strip())
        elif progress.message and (ended or progress.unit == "texts") and progress.unit != "layers":
            self._note(f"{progress.stage}: {progress.message}")
        elif progress.unit == "layers" and progress.done != self._layers:
            self._layers = progress.done
            self._note(f"{progress.stage}: layer {progress.done} of {progress.total}  {progress.message}".strip())
        now = time.monotonic()
        if new_stage or ended or now - self._last >= PAUSE_SECONDS:
            self._last = now
            self._say(progress)


def layer_words(report: "LayerReport") -> str:
    """A finished layer as a line of text: `50.0% zeros  error 0.132  4.2 s`. The error is the mean output error of its
    matrices. If there are matrices without a measured error, or with another sparsity than requested, their numbers are
    added."""
    weights = sum(matrix.rows * matrix.columns for matrix in report.matrices)
    zeros = sum(matrix.sparsity * matrix.rows * matrix.columns for matrix in report.matrices)
    errors = [matrix.relative_error for matrix in report.matrices if matrix.relative_error is not None]
    parts = [f"{zeros / weights:.1%} zeros"]
    if errors:
        parts.append(f"error {sum(errors) / len(errors):.3f}")
    parts.append(f"{report.seconds:.1f} s")
    unmeasured = sum(bool(matrix.error_note) for matrix in report.matrices)
    off = [matrix for matrix in report.matrices if matrix.sparsity_note]
    if unmeasured:
        parts.append(f"error not measured in {unmeasured} of {len(report.matrices)} matrices")
    if off:
        parts.append(f"{off[0].name}: {off[0].sparsity_note}" + (f" (and {len(off) - 1} more)" if off[1:] else ""))
    return "  ".join(parts)
