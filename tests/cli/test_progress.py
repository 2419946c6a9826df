"""Progress display: bars on a terminal, lines elsewhere."""

import contextlib
import io
import os
import pty
import re
import subprocess
import sys
from pathlib import Path

import pytest

from prunescope.cli.progress import Display, line
from prunescope.cli.wording import eta
from prunescope.jobs.documents import Progress

ROOT = Path(__file__).parents[2]


def step(done: int, eta: float | None = None, message: str = "50.0% zeros  error 0.132  4.2 s") -> Progress:
    return Progress(stage="prune", done=done, total=4, unit="layers", message=message, eta_seconds=eta)


def a_run() -> list[Progress]:
    """What pruning a model of four layers tells, the first of which an earlier run had finished."""
    return [
        Progress(stage="load", message="[demo]"),
        Progress(stage="prune", unit="layers"),
        step(1, message="restored"),
        step(1, message="layer 2/4 · self_attn.q_proj"),
        step(1, message="layer 2/4 · mlp.down_proj"),
        step(2),
        step(2, message="layer 3/4 · mlp.down_proj"),
        step(3, 125.0),
        step(3, 124.0, "layer 4/4 · mlp.down_proj"),
        step(4, 0.0),
        Progress(stage="save"),
    ]


def test_a_line_a_layer() -> None:
    stream = io.StringIO()
    with Display(stream) as display:
        for progress in a_run():
            display.show(progress)
            display.show(progress)
    assert stream.getvalue().splitlines() == [
        "load  [demo]",
        "prune",
        "layer 1/4  restored",
        "layer 2/4  50.0% zeros  error 0.132  4.2 s",
        "layer 3/4  50.0% zeros  error 0.132  4.2 s  eta 2m05s",
        "layer 4/4  50.0% zeros  error 0.132  4.2 s",
        "save",
    ]


def test_lines_of_batches_and_of_other_layers() -> None:
    stream = io.StringIO()
    rows = Progress(stage="sst2", done=8, total=436, unit="rows", eta_seconds=61.4)
    with Display(stream) as display:
        for progress in (rows, rows.model_copy(update={"eta_seconds": 60.0}), rows.model_copy(update={"done": 436})):
            display.show(progress)
    assert stream.getvalue().splitlines() == ["sst2  8/436 rows  eta 1m01s", "sst2  436/436 rows  eta 1m01s"]
    assert line(Progress(stage="score", done=3, total=4, unit="layers")) == "score  layer 3/4"
    assert line(Progress(stage="save")) == "save"


@pytest.mark.parametrize(
    ("seconds", "text"),
    [(None, ""), (0.4, ""), (12.4, "eta 12s"), (59.6, "eta 1m00s"), (125, "eta 2m05s"), (7384, "eta 2h03m")],
)
def test_what_is_left(seconds: float | None, text: str) -> None:
    assert eta(seconds) == text


def read_all(terminal: int) -> bytes:
    """All that was written: one read of a terminal gives at most 4 KiB, and its end is an error on Linux."""
    parts = []
    with contextlib.suppress(OSError):
        while part := os.read(terminal, 1 << 12):
            parts.append(part)
    os.close(terminal)
    return b"".join(parts)


def without_controls(shown: bytes) -> str:
    return re.sub(r"\x1b\[[0-9;?]*[A-Za-z]", "", shown.decode())


def test_a_bar_on_a_terminal(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", "80")
    monkeypatch.setenv("TERM", "xterm-256color")
    ours, theirs = pty.openpty()
    with os.fdopen(theirs, "w") as terminal, Display(terminal) as display:
        for progress in a_run()[:-2]:
            display.show(progress)
    *_, last = (row for row in without_controls(read_all(ours)).splitlines() if row.strip())
    assert re.search(r"prune .*━.* 3/4 layer 4/4 · mlp.down_proj +0:00:0\d eta 2m0[34]s", last)


PROGRAM = """
from prunescope.cli.progress import Display
from tests.cli.test_progress import a_run
with Display() as display:
    for progress in a_run():
        display.show(progress)
"""


def test_in_processes_of_their_own() -> None:
    """A real terminal as stderr, and a real pipe."""
    environment = {**os.environ, "COLUMNS": "100", "TERM": "xterm-256color", "PYTHONPATH": str(ROOT)}
    command = [sys.executable, "-c", PROGRAM]
    piped = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True, check=True)
    assert piped.stderr.splitlines()[2] == "layer 1/4  restored"
    assert piped.stdout == ""
    assert "\x1b" not in piped.stderr
    ours, theirs = pty.openpty()
    process = subprocess.Popen(command, cwd=ROOT, env=environment, stdout=subprocess.DEVNULL, stderr=theirs)
    os.close(theirs)
    shown = without_controls(read_all(ours))
    assert process.wait() == 0
    assert "4/4" in shown and "━" in shown and "[demo]" in shown
