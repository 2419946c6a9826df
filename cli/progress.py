"""How far the work is: a bar on a terminal, a line a layer or batch elsewhere. On stderr; stdout is for results."""

import sys
from types import TracebackType
from typing import TextIO

from jobs.documents import Progress


class Display:
    """Shows what `show` is given, as long as the `with` block lasts."""

    def __init__(self, stream: TextIO | None = None) -> None:
        self._stream = stream or sys.stderr
        self._bar: _Bar | None = None
        self._last: Progress | None = None

    def __enter__(self) -> "Display":
        if self._stream.isatty():
            self._bar = _Bar(self._stream)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._bar is not None:
            self._bar.close()

    def show(self, progress: Progress) -> None:
        """Show a step; the same step a second time shows nothing new."""
        if self._bar is not None:
            self._bar.show(progress)
        elif progress != self._last and _told_apart(self._last, progress):
            print(line(progress), file=self._stream, flush=True)
        self._last = progress


def line(progress: Progress) -> str:
    """One step as a line of text: `pruning  3/32 layers  0.50 sparse  12 s left`."""
    parts = [progress.stage]
    if progress.total:
        parts.append(f"{progress.done}/{progress.total} {progress.unit}".rstrip())
    if progress.message:
        parts.append(progress.message)
    if progress.eta_seconds is not None and progress.eta_seconds >= 1:
        parts.append(f"{progress.eta_seconds:.0f} s left")
    return "  ".join(parts)


def _told_apart(last: Progress | None, present: Progress) -> bool:
    """Whether a line of its own is worth it: not for a step of which only the estimate changed."""
    return last is None or present.model_copy(update={"eta_seconds": last.eta_seconds}) != last


class _Bar:
    """rich's progress bar, one task a stage."""

    def __init__(self, stream: TextIO) -> None:
        from rich.console import Console
        from rich.progress import BarColumn, MofNCompleteColumn, SpinnerColumn, TextColumn, TimeElapsedColumn
        from rich.progress import Progress as Bars

        self._bars = Bars(
            SpinnerColumn(),
            TextColumn("{task.description}"),
            BarColumn(),
            MofNCompleteColumn(),
            TextColumn("{task.fields[message]}", markup=False),
            TimeElapsedColumn(),
            console=Console(file=stream),
        )
        self._bars.start()
        self._stage: str | None = None
        self._task = self._bars.add_task("starting", total=None, message="")

    def show(self, progress: Progress) -> None:
        if progress.stage != self._stage:
            if self._stage is None:
                self._bars.remove_task(self._task)
            self._task = self._bars.add_task(progress.stage, total=None, message="")
            self._stage = progress.stage
        self._bars.update(self._task, completed=progress.done, total=progress.total or None, message=progress.message)

    def close(self) -> None:
        self._bars.stop()
