"""Starts and stops child processes, which also end when the command that started them is killed."""

import contextlib
import os
import shutil
import signal
import subprocess
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

from prunescope.worker.lifetime import die_with_parent

MAX_LOG_BYTES = 10_000_000
"""Maximum size of a log; a larger one is copied to `NAME.log.1` and truncated."""


def start(command: Sequence[str], log: Path, environment: Mapping[str, str] | None = None) -> subprocess.Popen[bytes]:
    """Start `command` in a new session, with its output appended to `log`. Ctrl-C in a terminal therefore reaches only
    the calling process, which then stops its children in order."""
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
    """Copy a log of more than MAX_LOG_BYTES to `NAME.log.1` and truncate it. A process may write to the log meanwhile,
    because `start` opens it for appending; lines written between copying and truncating are lost."""
    try:
        if log.stat().st_size <= MAX_LOG_BYTES:
            return
        with contextlib.suppress(OSError):  # the log is truncated even if the disk is full
            shutil.copyfile(log, log.with_suffix(".log.1"))
        os.truncate(log, 0)
    except FileNotFoundError:
        return


def stop(process: subprocess.Popen[bytes], patience: float) -> None:
    """End a process that `start` started, and its children: SIGTERM to the process, then after at most `patience`
    seconds SIGKILL to its process group."""
    if process.poll() is None:
        with contextlib.suppress(ProcessLookupError):
            process.terminate()
        with contextlib.suppress(subprocess.TimeoutExpired):
            process.wait(patience)
    with contextlib.suppress(ProcessLookupError):
        os.killpg(process.pid, signal.SIGKILL)  # remaining children, and the process itself if it ignored SIGTERM
    process.wait()


@contextlib.contextmanager
def running(
    command: Sequence[str], log: Path, environment: Mapping[str, str] | None = None, *, patience: float = 10
) -> Iterator[subprocess.Popen[bytes]]:
    """Context manager: run a process during the block (`start`, `stop`). Yields the process."""
    process = start(command, log, environment)
    try:
        yield process
    finally:
        stop(process, patience)


def last_lines(log: Path, count: int = 15) -> str:
    """The last `count` lines of a log; an empty string if there is no log."""
    if not log.exists():
        return ""
    return "\n".join(log.read_text(errors="replace").splitlines()[-count:])
