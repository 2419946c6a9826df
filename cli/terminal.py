"""Progress bars on a terminal. `cli/progress.py` imports this module only if stderr is a terminal, because importing
rich is slow."""

import time
from typing import TextIO

from rich.console import Console
from rich.progress import BarColumn, ProgressColumn, SpinnerColumn, Task, TaskID, TextColumn, TimeElapsedColumn
from rich.progress import Progress as Bars
from rich.table import Column
from rich.text import Text

from prunescope.cli.wording import eta
from prunescope.jobs.documents import Progress


class Bar:
    """Shows one bar per stage; bars of finished stages stay above the current one."""

    def __init__(self, stream: TextIO) -> None:
        self._bars = Bars(
            SpinnerColumn(),
            _text("description"),
            BarColumn(bar_width=8),
            _text("fields[count]"),
            _text("fields[message]", grows=True),
            TimeElapsedColumn(table_column=Column(no_wrap=True)),
            _RemainingTime(table_column=Column(no_wrap=True)),
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
            else:  # the previous stage has ended
                self._bars.update(self._task, completed=1, total=1, ends=None)
            self._task = self._add(progress.stage)
            self._stage = progress.stage
        self._bars.update(
            self._task,
            completed=progress.done,
            total=progress.total or None,
            count=f"{progress.done}/{progress.total}" if progress.total else "",
            message=progress.message,
            ends=None if progress.eta_seconds is None else time.monotonic() + progress.eta_seconds,
        )

    def close(self) -> None:
        self._bars.stop()

    def _add(self, stage: str) -> TaskID:
        return self._bars.add_task(stage, total=None, count="", message="", ends=None)


class _RemainingTime(ProgressColumn):
    """A column of a progress bar with the estimated remaining time, which counts down between progress reports."""

    def render(self, task: Task) -> Text:
        ends = task.fields["ends"]
        return Text("" if ends is None or task.finished else eta(ends - time.monotonic()))


def _text(place: str, *, grows: bool = False) -> TextColumn:
    column = Column(no_wrap=True, overflow="ellipsis", ratio=1 if grows else None)
    return TextColumn(f"{{task.{place}}}", markup=False, table_column=column)
