"""A bar on a terminal, lines elsewhere."""

import contextlib
import io
import os
import pty

from cli.progress import Display, line
from jobs.documents import Progress


def step(done: int, eta: float | None = None) -> Progress:
    return Progress(stage="prune", done=done, total=4, unit="layers", message="50.0% zeros", eta_seconds=eta)


def test_lines() -> None:
    stream = io.StringIO()
    with Display(stream) as display:
        for progress in (Progress(stage="load", message="demo"), step(1), step(1, 3.0), step(2, 61.4), step(4, 0.0)):
            display.show(progress)
    assert stream.getvalue().splitlines() == [
        "load  demo",
        "prune  1/4 layers  50.0% zeros",
        "prune  2/4 layers  50.0% zeros  61 s left",
        "prune  4/4 layers  50.0% zeros",
    ]


def test_a_stage_whose_length_is_unknown() -> None:
    assert line(Progress(stage="save")) == "save"


def read_all(terminal: int) -> bytes:
    """All that was written: one read of a terminal gives at most 4 KiB, and its end is an error on Linux."""
    parts = []
    with contextlib.suppress(OSError):
        while part := os.read(terminal, 1 << 12):
            parts.append(part)
    os.close(terminal)
    return b"".join(parts)


def test_a_bar_on_a_terminal() -> None:
    ours, theirs = pty.openpty()
    with os.fdopen(theirs, "w") as terminal, Display(terminal) as display:
        for progress in (Progress(stage="load", message="[demo]"), step(1), step(4)):
            display.show(progress)
    shown = read_all(ours).decode()
    assert "4/4" in shown and "[demo]" in shown and "━" in shown
