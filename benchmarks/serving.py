"""Measures the latency of a neuron's document and page from a real server on loopback.

Requests for documents are sent at fixed times, independent of earlier answers (an open loop), and a latency is measured
from the scheduled time, so that queueing is included. Server and client share the machine's cores. Neurons are drawn at
random over all layers; the attribution's files are in the system's page cache if memory allows.
"""

import http.client
import os
import random
import re
import socket
import statistics
import sys
import time
import urllib.request
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from threading import local
from typing import Any
from urllib.parse import urljoin, urlsplit

import numpy as np

from prunescope.cli.processes import last_lines, running
from prunescope.jobs.settings import Settings
from prunescope.server import urls
from prunescope.store.submission import Stores

READY_SECONDS = 60
MB = 1e6
CLIENTS = 32
IDLE_SECONDS = 2.0
"""Clients close connections idle for this long, because the server does so too (uvicorn after 5 s)."""
ACCEPT = {"identity": {}, "gzip": {"Accept-Encoding": "gzip"}}
MODULE = re.compile(rb"""(?:src="|from\s*"|import\s*")([^"]+\.js[^"]*)""")
STYLESHEET = re.compile(rb'rel="stylesheet" href="([^"]+)"')


@dataclass(frozen=True)
class Served:
    """A running server, and how long its start took."""

    address: str
    pid: int
    start_seconds: float

    def resident_mb(self) -> float:
        """The server's current resident memory in MB."""
        status = Path(f"/proc/{self.pid}/status").read_text(encoding="ascii")
        return int(status.partition("VmRSS:")[2].split()[0]) * 1024 / MB


def register(home: Path, id: str, spec: dict[str, Any], summary: dict[str, Any]) -> None:
    """Add the database record of an attribution that is stored below `home`."""
    stores = Stores.open(_settings(home))
    try:
        stores.database.migrate()
        stores.results.add("attribution", id, job=None, spec=spec, summary=summary)
    finally:
        stores.close()


def _settings(home: Path) -> Settings:
    return Settings(home=home, redis_url=f"unix://{home}/nobody.sock")  # no request here needs Redis


@contextmanager
def served(home: Path) -> Iterator[Served]:
    """Run the project's server in its own process, on a free port, during the block."""
    settings = _settings(home)
    environment = os.environ | {"PRUNESCOPE_REDIS_URL": str(settings.redis_url)}
    port = _free_port()
    command = [sys.executable, "-m", "prunescope.cli", "server", "--home", str(home), "--port", str(port)]
    began = time.perf_counter()
    with running(command, home / "server.log", environment) as process:
        address = f"http://127.0.0.1:{port}"
        while not _answers(address):
            if process.poll() is not None or time.perf_counter() - began > READY_SECONDS:
                raise RuntimeError(f"the server did not start:\n{last_lines(home / 'server.log')}")
            time.sleep(0.02)
        yield Served(address, process.pid, time.perf_counter() - began)


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


def _answers(address: str) -> bool:
    try:
        with urllib.request.urlopen(f"{address}{urls.HEALTHZ}", timeout=5) as answer:
            return bool(answer.status == 200)
    except OSError:
        return False


class Client:
    """An HTTP client with one persistent connection per thread, for the time of the `with` block."""

    def __init__(self, address: str) -> None:
        self._host = urlsplit(address).netloc
        self._own = local()
        self._every: list[http.client.HTTPConnection] = []

    def __enter__(self) -> "Client":
        return self

    def __exit__(self, *_: object) -> None:
        for connection in self._every:
            connection.close()

    def get(self, path: str, accept: str) -> bytes:
        """The response body, not decoded. Raises RuntimeError for any status but 200."""
        connection = getattr(self._own, "connection", None)
        if connection is None:
            connection = self._own.connection = http.client.HTTPConnection(self._host, timeout=60)
            self._every.append(connection)
        elif time.perf_counter() - self._own.used > IDLE_SECONDS:
            connection.close()  # the server would close it too; the next request reopens it
        connection.request("GET", path, headers=ACCEPT[accept])
        answer = connection.getresponse()
        body: bytes = answer.read()
        self._own.used = time.perf_counter()
        if answer.status != 200:
            raise RuntimeError(f"{path}: {answer.status} {body[:200]!r}")
        return body


def read(home: Path, id: str, shape: tuple[int, int], *, requests: int, rate: float, pages: int) -> dict[str, Any]:
    """Measure documents at a fixed rate, pages one after another, and the size of a page."""
    rng = random.Random(0)
    neurons = [(rng.randrange(shape[0]), rng.randrange(shape[1])) for _ in range(requests)]
    with served(home) as server, Client(server.address) as client:
        paths = [urls.neuron(id, *neuron) for neuron in neurons]
        for path in (paths[0], urls.api(paths[0])):  # warm-up: opens the attribution, compiles the template
            client.get(path, "gzip")
        documents = {
            accept: open_loop(client, [urls.api(path) for path in paths], rate, accept)
            for accept in ("identity", "gzip")
        }
        shown = [paths[number % len(paths)] for number in range(pages)]
        return {
            "rate": rate,
            "requests": requests,
            "documents": documents,
            "page": {**one_by_one(client, shown), **weight(client, paths[0])},
            "server": {"start_seconds": server.start_seconds, "resident_mb": server.resident_mb()},
        }


def open_loop(client: Client, paths: Sequence[str], rate: float, accept: str) -> dict[str, float]:
    """Quantiles of the milliseconds from each request's scheduled time to its complete answer."""
    with ThreadPoolExecutor(CLIENTS) as pool:
        began = time.perf_counter() + 0.1

        def ask(path: str, due: float) -> tuple[float, int]:
            size = len(client.get(path, accept))
            return 1000 * (time.perf_counter() - due), size

        waiting = []
        for number, path in enumerate(paths):
            due = began + number / rate
            time.sleep(max(0.0, due - time.perf_counter()))
            waiting.append(pool.submit(ask, path, due))
        took, sizes = zip(*(each.result() for each in waiting), strict=True)
    return {**_quantiles(took), "kilobytes": statistics.mean(sizes) / 1000}


def one_by_one(client: Client, paths: Sequence[str]) -> dict[str, float]:
    """Quantiles of the milliseconds for pages that are requested one after another."""
    took = []
    for path in paths:
        began = time.perf_counter()
        client.get(path, "gzip")
        took.append(1000 * (time.perf_counter() - began))
    return _quantiles(took)


def _quantiles(took: Sequence[float]) -> dict[str, float]:
    return {f"p{share}_ms": float(np.percentile(took, share)) for share in (50, 95, 99)} | {"max_ms": max(took)}


def weight(client: Client, path: str) -> dict[str, float]:
    """Transferred kilobytes of a page, alone and with its styles and scripts, without Plotly's, which is loaded
    later."""
    plain = client.get(path, "identity")
    sizes = {path: len(client.get(path, "gzip"))}
    found = [urljoin(path, name.decode()) for name in (*STYLESHEET.findall(plain), *MODULE.findall(plain))]
    while found:
        file = found.pop()
        if file not in sizes and "plotly" not in file:
            sizes[file] = len(client.get(file, "gzip"))
            if ".js" in file:
                found += [urljoin(file, name.decode()) for name in MODULE.findall(client.get(file, "identity"))]
    return {
        "html_kilobytes": len(plain) / 1000,
        "sent_kilobytes": sizes[path] / 1000,
        "sent_with_files_kilobytes": sum(sizes.values()) / 1000,
        "files": len(sizes) - 1,
    }
