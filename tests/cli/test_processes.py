"""Logs of child processes: emptied by size while they are written."""

import subprocess
import sys
from pathlib import Path

import pytest

from prunescope.cli import processes


def test_a_log_that_grows_is_put_aside_while_its_process_goes_on(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(processes, "MAX_LOG_BYTES", 1000)
    log = tmp_path / "part.log"
    echo = "import sys\nfor line in sys.stdin: print(line, end='', flush=True)"
    with log.open("ab") as output:
        process = subprocess.Popen(
            [sys.executable, "-c", echo], stdin=subprocess.PIPE, stdout=output, text=True, bufsize=1
        )
        assert process.stdin is not None
        process.stdin.write("a" * 2000 + "\n")
        while log.stat().st_size < 2001:
            assert process.poll() is None
        processes.rotate(log)
        assert log.stat().st_size == 0
        process.stdin.write("afterwards\n")
        process.stdin.close()
        assert process.wait() == 0
    assert log.read_text() == "afterwards\n"
    assert log.with_suffix(".log.1").read_text() == "a" * 2000 + "\n"


def test_a_short_or_absent_log_stays_as_it_is(tmp_path: Path) -> None:
    processes.rotate(tmp_path / "none.log")
    log = tmp_path / "part.log"
    log.write_text("short\n")
    processes.rotate(log)
    assert log.read_text() == "short\n"
    assert not log.with_suffix(".log.1").exists()
