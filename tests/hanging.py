"""A service that hangs: its processes are stopped, so connections stay open and nothing answers."""

import contextlib
import os
import signal
from collections.abc import Iterator
from pathlib import Path

import psycopg
import redis


@contextlib.contextmanager
def hanging_redis(address: str) -> Iterator[None]:
    with redis.Redis.from_url(address) as client:
        process = int(client.info("server")["process_id"])
    with _stopped([process]):
        yield


@contextlib.contextmanager
def hanging_postgres(address: str) -> Iterator[None]:
    """Stops the postmaster and every process of it, those of open connections included."""
    with psycopg.connect(address.replace("+psycopg", "")) as connection:
        status = Path(f"/proc/{connection.info.backend_pid}/status").read_text()
    postmaster = int(status.partition("PPid:")[2].split()[0])
    children = Path(f"/proc/{postmaster}/task/{postmaster}/children").read_text().split()
    with _stopped([postmaster, *map(int, children)]):
        yield


@contextlib.contextmanager
def _stopped(processes: list[int]) -> Iterator[None]:
    try:
        for process in processes:
            with contextlib.suppress(ProcessLookupError):
                os.kill(process, signal.SIGSTOP)
        yield
    finally:
        for process in processes:
            with contextlib.suppress(ProcessLookupError):
                os.kill(process, signal.SIGCONT)
