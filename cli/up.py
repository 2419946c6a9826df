"""`prunescope up`: runs a private Redis, one worker and the web server as child processes."""

import contextlib
import fcntl
import os
import signal
import socket
import subprocess
import sys
import threading
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from functools import partial
from pathlib import Path

from prunescope.cli import processes
from prunescope.cli.doctor import check_services
from prunescope.cli.redis import private_redis
from prunescope.errors import Failure, Refusal
from prunescope.jobs.settings import Settings

READY_SECONDS = 60.0
"""Time limit for the server's first answer; it usually takes one or two seconds."""

WORKER_PATIENCE = 15.0
"""Seconds between SIGTERM and SIGKILL for the worker, in which the running job finishes its layer or batch and is
queued again."""

SERVER_PATIENCE = 5.0
"""Seconds between SIGTERM and SIGKILL for the server."""

DEMO_STUDY = Path(__file__).resolve().parents[1] / "studies" / "demo.yaml"

Children = dict[str, tuple[subprocess.Popen[bytes], Path]]
"""Name of a process -> (process, its log)."""


def run(settings: Settings, *, demo: bool) -> None:
    """Start all processes, print the address, and wait for Ctrl-C or SIGTERM, or until a process ends. All processes
    have ended on return. With `demo`, the demo study is submitted if there is no job yet.

    Raises:
        Refusal: the port is taken, another `prunescope up` uses the data folder, or a setting is invalid.
        Failure: a process did not start, or ended.
    """
    settings = settings.model_copy(update={"home": settings.resolved_home, "port": _free_port(settings)})
    check_services(settings)
    settings.home.mkdir(parents=True, exist_ok=True)
    logs = settings.home / "logs"
    children: Children = {}
    with contextlib.ExitStack() as parts:
        parts.enter_context(_sole_user_of(settings.home))
        stop = parts.enter_context(_stop_signals())
        if settings.redis_url is None:
            children["Redis"] = parts.enter_context(private_redis(settings)), logs / "redis.log"
        study = _prepare(settings, demo=demo)
        for name, patience in (("worker", WORKER_PATIENCE), ("server", SERVER_PATIENCE)):
            # -P: modules in the current folder do not shadow installed ones.
            command = [sys.executable, "-P", "-m", "prunescope.cli", name]
            log = logs / f"{name}.log"
            child = processes.running(command, log, _environment(settings), patience=patience)
            children[name] = parts.enter_context(child), log
        address = address_of(settings)
        _wait_until_ready(address, children, stop)
        if not stop.is_set():
            print(f"Prunescope is ready: {address}", flush=True)
            if study:
                print(f"A demo study is running: {address}{study}", flush=True)
            print(f"Data and logs are in {settings.home}. Ctrl-C ends everything.", flush=True)
        _watch(children, stop)
        print("Stopping ...", flush=True)


def serve(settings: Settings) -> None:
    """Run the web server in this process until SIGINT or SIGTERM. Open event streams are closed after two seconds.
    Raises Refusal if the port is taken or a setting is invalid."""
    import uvicorn

    from prunescope.server.app import create_app, freeze_loaded_objects
    from prunescope.server.connections import limited_protocol

    _free_port(settings)
    check_services(settings)
    app = create_app(settings)
    freeze_loaded_objects()
    uvicorn.run(
        app,
        host=settings.host,
        port=settings.port,
        http=limited_protocol(),
        log_level="info",
        timeout_graceful_shutdown=2,
        server_header=False,
    )


def address_of(settings: Settings) -> str:
    """The server's URL for a browser on this machine: http, host and port, without a path."""
    host = {"0.0.0.0": "127.0.0.1", "::": "[::1]"}.get(settings.host, settings.host)
    return (
        f"http://[{host}]:{settings.port}"
        if ":" in host.strip("[]") and "[" not in host
        else f"http://{host}:{settings.port}"
    )


def _environment(settings: Settings) -> dict[str, str]:
    return os.environ | {
        "PRUNESCOPE_HOME": str(settings.home),
        "PRUNESCOPE_HOST": settings.host,
        "PRUNESCOPE_PORT": str(settings.port),
        "PYTHONUNBUFFERED": "1",
    }


def _free_port(settings: Settings) -> int:
    """The configured port, or for port 0 a free one. Raises Refusal if the server cannot listen on it."""
    try:
        found = socket.getaddrinfo(settings.host, settings.port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)
        family, kind, protocol, _, address = found[0]
        with socket.socket(family, kind, protocol) as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            probe.bind(address)
            port: int = probe.getsockname()[1]
            return port
    except (OSError, UnicodeError) as error:  # UnicodeError for a host name that is too long
        raise Refusal(
            f"cannot listen on port {settings.port} of {settings.host[:80]} ({getattr(error, 'strerror', error)}); "
            "choose another with --port, or --port 0 for any free one"
        ) from None


@contextlib.contextmanager
def _sole_user_of(home: Path) -> Iterator[None]:
    """Context manager: hold the data folder's lock during the block, because two Redis servers in one folder would
    corrupt its data. Raises Refusal if another process holds the lock."""
    with (home / "up.lock").open("a") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            raise Refusal(
                f"another prunescope up uses {home}; end it, or choose another data folder with --home"
            ) from None
        yield


@contextlib.contextmanager
def _stop_signals() -> Iterator[threading.Event]:
    """Context manager: yield an event that Ctrl-C, SIGTERM and a closed terminal (SIGHUP) set during the block. No
    exception is raised, so that nothing interrupts the shutdown."""
    stop = threading.Event()
    numbers = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
    before = [signal.signal(number, lambda *_: stop.set()) for number in numbers]
    try:
        yield stop
    finally:
        for number, handler in zip(numbers, before, strict=True):
            signal.signal(number, handler)


def _prepare(settings: Settings, *, demo: bool) -> str | None:
    """Migrate the database, and submit the demo study if `demo` is set and there is no job yet. Returns the path of the
    study's page; None if it was not submitted."""
    from prunescope.cli.submit import read_request
    from prunescope.jobs.queue import celery_app, send
    from prunescope.server import urls
    from prunescope.store.submission import Stores, submit

    stores = Stores.open(settings)
    stores.database.migrate()
    try:
        known, _ = stores.jobs.list(limit=1)
        if known or not demo:
            return None
        request = read_request(DEMO_STUDY)
        job, _ = submit(stores, request["kind"], request["spec"], send=partial(send, celery_app(settings)))
        return urls.study(job.artefact_id)
    finally:
        stores.close()


def _wait_until_ready(address: str, children: Children, stop: threading.Event) -> None:
    deadline = time.monotonic() + READY_SECONDS
    browser = urllib.request.build_opener(urllib.request.ProxyHandler({}))  # ignores proxies of the environment
    while not stop.is_set():
        _check(children)
        with contextlib.suppress(urllib.error.URLError, OSError), browser.open(f"{address}/healthz", timeout=2):
            return
        if time.monotonic() > deadline:
            _, log = children["server"]
            raise Failure(f"the server does not answer; the end of {log}:\n{processes.last_lines(log)}")
        stop.wait(0.05)


def _watch(children: Children, stop: threading.Event) -> None:
    while not stop.wait(0.2):
        _check(children)
        for _, log in children.values():
            processes.rotate(log)


def _check(children: Children) -> None:
    for name, (process, log) in children.items():
        if (code := process.poll()) is not None:
            raise Failure(f"the {name} ended (exit code {code}); the end of {log}:\n{processes.last_lines(log)}")
