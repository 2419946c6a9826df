"""How far the work is: a bar on a terminal, a line a layer or batch elsewhere. On stderr; stdout is for results."""

import sys
from types import TracebackType
from typing import TYPE_CHECKING, TextIO

from jobs.documents import Progress

if TYPE_CHECKING:
    from rich.progress import TaskID


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
        elif _worth_a_line(self._last, progress):
            print(line(progress), file=self._stream, flush=True)
        self._last = progress


def line(progress: Progress) -> str:
    """One step as a line of text: `layer 3/32  50.0% zeros  error 0.132  4.2 s  eta 2m05s`."""
    if progress.unit == "layers" and progress.done:
        parts = [f"layer {progress.done}/{progress.total}"]
        if progress.stage != "prune":
            parts.insert(0, progress.stage)
    else:
        parts = [progress.stage]
        if progress.total:
            parts.append(f"{progress.done}/{progress.total} {progress.unit}".rstrip())
    return "  ".join([*parts, *filter(None, (progress.message, eta(progress)))])


def eta(progress: Progress) -> str:
    """What is left of a stage: `eta 12s`, `eta 2m05s`, `eta 1h02m`; nothing where that is not known, or nothing is."""
    if progress.eta_seconds is None or progress.eta_seconds < 1:
        return ""
    minutes, seconds = divmod(round(progress.eta_seconds), 60)
    if not minutes:
        return f"eta {seconds}s"
    hours, minutes = divmod(minutes, 60)
    return f"eta {hours}h{minutes:02}m" if hours else f"eta {minutes}m{seconds:02}s"


def _worth_a_line(last: Progress | None, present: Progress) -> bool:
    """A line tells of a new stage, and then of what is finished: not of an estimate, nor of the matrices of a layer."""
    if last is None or present.stage != last.stage:
        return True
    if present.unit == "layers":
        return present.done != last.done
    return present.model_copy(update={"eta_seconds": last.eta_seconds}) != last


class _Bar:
    """rich's progress bar, one task a stage: those that are over stay above it."""

    def __init__(self, stream: TextIO) -> None:
        from rich.console import Console
        from rich.progress import BarColumn, SpinnerColumn, TextColumn, TimeElapsedColumn
        from rich.progress import Progress as Bars
        from rich.table import Column

        def text(place: str, *, grows: bool = False) -> TextColumn:
            column = Column(no_wrap=True, overflow="ellipsis", ratio=1 if grows else None)
            return TextColumn(f"{{task.{place}}}", markup=False, table_column=column)

        self._bars = Bars(
            SpinnerColumn(),
            text("description"),
            BarColumn(bar_width=8),
            text("fields[count]"),
            text("fields[message]", grows=True),
            TimeElapsedColumn(table_column=Column(no_wrap=True)),
            text("fields[eta]"),
            console=Console(file=stream),
            expand=True,
        )
        self._bars.start()
        self._stage: str | None = None
        self._task = self._add("starting")

    def show(self, progress: Progress) -> None:
        if progress.stage != self._stage:
            if self._stage is None:
                self._bars.remove_task(self._task)
            else:
                self._end()
            self._task = self._add(progress.stage)
            self._stage = progress.stage
        self._bars.update(
            self._task,
            completed=progress.done,
            total=progress.total or None,
            count=f"{progress.done}/{progress.total}" if progress.total else "",
            message=progress.message,
            eta=eta(progress),
        )

    def close(self) -> None:
        self._bars.stop()

    def _add(self, stage: str) -> "TaskID":
        return self._bars.add_task(stage, total=None, count="", message="", eta="")

    def _end(self) -> None:
        """The stage is over, whether it counted or not."""
        self._bars.update(self._task, completed=1, total=1, eta="")
