"""Child processes that end with the command that started them."""

import contextlib
import os
import shutil
import signal
import subprocess
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

from prunescope.worker.lifetime import die_with_parent

MAX_LOG_BYTES = 10_000_000
"""A log that grows beyond this is copied to `NAME.log.1` and begun anew."""


def start(command: Sequence[str], log: Path, environment: Mapping[str, str] | None = None) -> subprocess.Popen[bytes]:
    """Start `command` in its own process group, so that Ctrl-C in a terminal reaches only this process, which then ends
    its children in order.

    Its output is appended to `log`.
    """
    log.parent.mkdir(parents=True, exist_ok=True)
    rotate(log)
    with log.open("ab") as output:
        return subprocess.Popen(
            command,
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.STDOUT,
            env=None if environment is None else dict(environment),
            start_new_session=True,
            preexec_fn=die_with_parent,
        )


def rotate(log: Path) -> None:
    """Copy a log of more than MAX_LOG_BYTES to `NAME.log.1` and truncate it. This works while a process writes to it,
    because the file is opened for appending. Lines written between copying and truncating are lost."""
    try:
        if log.stat().st_size <= MAX_LOG_BYTES:
            return
        with contextlib.suppress(OSError):  # a full disk must not keep the log from being emptied
            shutil.copyfile(log, log.with_suffix(".log.1"))
        os.truncate(log, 0)
    except FileNotFoundError:
        return


def stop(process: subprocess.Popen[bytes], patience: float) -> None:
    """End a process started by `start` and its children: with SIGTERM, and with SIGKILL after `patience` seconds."""
    if process.poll() is None:
        with contextlib.suppress(ProcessLookupError):
            process.terminate()
        with contextlib.suppress(subprocess.TimeoutExpired):
            process.wait(patience)
    with contextlib.suppress(ProcessLookupError):
        os.killpg(process.pid, signal.SIGKILL)  # its group: remaining children, and itself if it ignored SIGTERM
    process.wait()


@contextlib.contextmanager
def running(
    command: Sequence[str], log: Path, environment: Mapping[str, str] | None = None, *, patience: float = 10
) -> Iterator[subprocess.Popen[bytes]]:
    """Run a process during the `with` block."""
    process = start(command, log, environment)
    try:
        yield process
    finally:
        stop(process, patience)


def last_lines(log: Path, count: int = 15) -> str:
    """The last lines of a log, to show why a process ended."""
    if not log.exists():
        return ""
    return "\n".join(log.read_text(errors="replace").splitlines()[-count:])
