"""Progress display on stderr: bars on a terminal; otherwise one line per layer or batch."""

import sys
from types import TracebackType
from typing import TYPE_CHECKING, TextIO

from prunescope.cli.wording import eta
from prunescope.jobs.documents import Progress

if TYPE_CHECKING:
    from prunescope.cli.terminal import Bar


class Display:
    """Context manager that displays the progress passed to `show`, as bars if `stream` is a terminal, else as lines."""

    def __init__(self, stream: TextIO | None = None) -> None:
        self._stream = stream or sys.stderr
        self._bar: "Bar | None" = None
        self._last: Progress | None = None

    def __enter__(self) -> "Display":
        if self._stream.isatty():
            from prunescope.cli.terminal import Bar

            self._bar = Bar(self._stream)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._bar is not None:
            self._bar.close()

    def show(self, progress: Progress) -> None:
        """Display one progress report. In lines, a report that differs from the previous one only in the estimated time
        is skipped."""
        if self._bar is not None:
            self._bar.show(progress)
        elif _worth_a_line(self._last, progress):
            print(line(progress), file=self._stream, flush=True)
        self._last = progress


def line(progress: Progress) -> str:
    """A progress report as one line: `layer 3/32  50.0% zeros  error 0.132  4.2 s  eta 2m05s`."""
    if progress.unit == "layers" and progress.done:
        parts = [f"layer {progress.done}/{progress.total}"]
        if progress.stage != "prune":
            parts.insert(0, progress.stage)
    else:
        parts = [progress.stage]
        if progress.total:
            parts.append(f"{progress.done}/{progress.total} {progress.unit}".rstrip())
    return "  ".join([*parts, *filter(None, (progress.message, eta(progress.eta_seconds)))])


def _worth_a_line(last: Progress | None, present: Progress) -> bool:
    """Whether to print a line for `present`: it begins a stage, finishes a layer, or in another stage differs from
    `last` in more than the estimated time."""
    if last is None or present.stage != last.stage:
        return True
    if present.unit == "layers":
        return present.done != last.done
    return present.model_copy(update={"eta_seconds": last.eta_seconds}) != last
