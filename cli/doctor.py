"""`prunescope doctor`: checks the installation and the services, and prints how to fix what does not work."""

import os
import shutil
import sys
from collections.abc import Callable
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from prunescope.cli.errors import one_line
from prunescope.cli.redis import find_server
from prunescope.errors import Failure, Refusal
from prunescope.jobs.references import DEMO_FOLDER
from prunescope.jobs.settings import Settings

if TYPE_CHECKING:
    import redis

MIN_FREE_BYTES = 5 * 2**30
"""Free disk space in bytes below which `doctor` prints a remark: the size of one pruned 1.5B model."""

CONNECT_SECONDS = 3
"""Timeout for connecting to Redis or the database."""

State = Literal["ok", "note", "bad"]
"""`ok`: it works; `note`: it works, with a remark; `bad`: it does not work until the user fixes it."""

Answer = tuple[State, str]
"""(state, text) of one check."""


@dataclass(frozen=True)
class Finding:
    """The result of one check."""

    part: str
    state: State
    text: str


def run(settings: Settings) -> bool:
    """Run all checks and print one line for each. Returns whether none is `bad`."""
    findings = [_finding(part, check, settings) for part, check in CHECKS.items()]
    width = max(len(finding.part) for finding in findings)
    for finding in findings:
        print(f"{finding.state:5}{finding.part:{width}}  {finding.text}")
    return all(finding.state != "bad" for finding in findings)


def check_services(settings: Settings) -> None:
    """Raise Refusal, naming the part and the remedy, if the server or a worker could not start with these settings. A
    Redis that does not answer yet is not an error."""
    if _redis_client(settings) is None:
        raise Refusal(_redis(settings)[1])
    for part in ("disk", "artefacts", "database"):
        finding = _finding(part, CHECKS[part], settings)
        if finding.state == "bad":
            raise Refusal(f"{part}: {finding.text}")


def _finding(part: str, check: Callable[[Settings], Answer], settings: Settings) -> Finding:
    try:
        state, text = check(settings)
    except Exception as error:  # whatever the check raises is its result
        return Finding(part, "bad", one_line(f"{type(error).__name__}: {error}"))
    return Finding(part, state, one_line(text))


def _python(settings: Settings) -> Answer:
    wanted = sys.version_info >= (3, 11)
    return ("ok" if wanted else "bad"), f"{sys.version.split()[0]}" + ("" if wanted else "; 3.11 or newer is needed")


def _packages(settings: Settings) -> Answer:
    found = []
    for name in ("torch", "transformers", "lm-eval", "safetensors"):
        try:
            found.append(f"{name} {version(name)}")
        except PackageNotFoundError:
            return "bad", f"{name} is not installed: the worker needs it (pip install -e '.[worker]')"
    return "ok", ", ".join(found)


def _device(settings: Settings) -> Answer:
    try:
        import torch
    except ImportError as error:
        return "bad", f"torch cannot be imported ({error}): the worker needs it (pip install -e '.[worker]')"
    if not torch.cuda.is_available():
        wanted = settings.device.startswith("cuda")
        text = f"no CUDA device; the CPU works, with {torch.get_num_threads()} threads"
        return (
            ("bad", f"{text}, but PRUNESCOPE_DEVICE is {settings.device}: set it to auto") if wanted else ("note", text)
        )
    names = []
    for index in range(torch.cuda.device_count()):
        free, total = torch.cuda.mem_get_info(index)
        names.append(
            f"cuda:{index} {torch.cuda.get_device_name(index)}, {free / 2**30:.0f} of {total / 2**30:.0f} GiB free"
        )
    return "ok", "; ".join(names)


def _redis(settings: Settings) -> Answer:
    import redis

    shown = _without_password(settings.resolved_redis_url)
    if (client := _redis_client(settings)) is None:
        return "bad", "PRUNESCOPE_REDIS_URL is not a valid address: redis://host:6379/0, with %2F for a / in a password"
    with client:
        try:
            running = f"{client.info('server')['redis_version']} answers at {shown}"
            return "ok", running
        except (redis.RedisError, OSError) as error:
            if settings.redis_url is not None:
                return (
                    "bad",
                    f"nothing answers at {shown} ({error}): start it, or correct PRUNESCOPE_REDIS_URL",
                )
    try:
        return "ok", f"none runs; prunescope up starts a private one with {find_server()}"
    except Failure as error:
        return "bad", str(error)


def _redis_client(settings: Settings) -> "redis.Redis | None":
    """A Redis client that has not connected yet; None if PRUNESCOPE_REDIS_URL is invalid."""
    import redis

    try:
        return redis.Redis.from_url(
            settings.resolved_redis_url, socket_connect_timeout=CONNECT_SECONDS, socket_timeout=CONNECT_SECONDS
        )
    except ValueError:  # its message may contain a part of the password
        return None


def _without_password(address: str) -> str:
    """A URL without user name, password and query string, any of which may be secret."""
    scheme, _, rest = address.partition("://")
    place = rest.rpartition("@")[2].partition("?")[0]
    return f"{scheme}://{'***@' if '@' in rest else ''}{place}"


def _database(settings: Settings) -> Answer:
    from sqlalchemy import create_engine, make_url, text
    from sqlalchemy.exc import ArgumentError, DBAPIError, NoSuchModuleError

    forms = "sqlite:////folder/file.db or postgresql://user@host/name"
    try:
        url = make_url(settings.resolved_database_url)
    except (ArgumentError, ValueError):  # its message contains the password
        return "bad", f"PRUNESCOPE_DATABASE_URL is not a valid database address: {forms}"
    shown = url.render_as_string(hide_password=True)
    if url.get_backend_name() == "sqlite" and not Path(url.database or "").exists():
        found = _writable(Path(url.database or ".").absolute().parent, "PRUNESCOPE_DATABASE_URL")
        return found if found[0] == "bad" else ("ok", f"{shown} will be created by the first start")
    waits = {"connect_timeout": CONNECT_SECONDS} if url.get_backend_name() == "postgresql" else {}
    try:
        engine = create_engine(url, connect_args=waits)
    except (NoSuchModuleError, ImportError) as error:
        return "bad", f"{shown}: no driver for it is installed ({error}); PRUNESCOPE_DATABASE_URL takes {forms}"
    try:
        with engine.connect() as connection:
            connection.execute(text("select 1"))
    except DBAPIError as error:
        return "bad", f"{shown} does not answer ({error.orig}): start it, or correct PRUNESCOPE_DATABASE_URL"
    finally:
        engine.dispose()
    return "ok", f"{shown} answers"


def _artefacts(settings: Settings) -> Answer:
    from prunescope.store.artefacts.folders import Artefacts

    address = settings.resolved_artefacts_url
    try:
        artefacts = Artefacts(address, settings.resolved_home / "cache")
    except (ValueError, ImportError) as error:
        return "bad", f"PRUNESCOPE_ARTEFACTS_URL {_without_password(address)}: {error}"
    if not artefacts.local:
        return "ok", f"{_without_password(address)} (the connection was not tested)"
    return _writable(Path(artefacts.root), "PRUNESCOPE_ARTEFACTS_URL")


def _writable(folder: Path, variable: str) -> Answer:
    """Check that a folder exists and is writable, or can be created. `variable` is the setting that names the
    folder."""
    for place in (folder, *folder.parents):
        if place.is_symlink() and not place.exists():
            return "bad", f"{place} is a dangling symlink: remove it, or choose another {variable}"
    place = next(place for place in (folder, *folder.parents) if place.exists())
    if not place.is_dir():
        return "bad", f"{place} is not a folder: choose another {variable}"
    if not os.access(place, os.W_OK | os.X_OK):
        return "bad", f"{place} cannot be written to by this user: change its owner, or choose another {variable}"
    return "ok", str(folder)


def _disk(settings: Settings) -> Answer:
    home = settings.resolved_home
    state, text = _writable(home, "PRUNESCOPE_HOME")
    if state == "bad":
        return state, text
    place = next(folder for folder in (home, *home.parents) if folder.exists())
    free = shutil.disk_usage(place).free
    text = f"{free / 2**30:.1f} GiB free at {home}"
    return ("ok", text) if free >= MIN_FREE_BYTES else ("note", f"{text}: too little for models of billions of weights")


def _roots(settings: Settings) -> Answer:
    if not settings.model_roots:
        return "note", "none: jobs may name demo and hub models; PRUNESCOPE_MODEL_ROOTS adds folders"
    missing = [str(root) for root in settings.model_roots if not root.is_dir()]
    if missing:
        return "bad", f"no such folder: {', '.join(missing)}; correct PRUNESCOPE_MODEL_ROOTS"
    return "ok", ", ".join(str(root) for root in settings.model_roots)


def _data(settings: Settings) -> Answer:
    if settings.data is None:
        return "note", "no local data: tasks and calibration text come from the hub; PRUNESCOPE_DATA names a folder"
    parts = [name for name in ("eval", "calibration") if (settings.data / name).is_dir()]
    if not parts:
        return "bad", f"{settings.data} has neither eval/ nor calibration/; correct PRUNESCOPE_DATA"
    return "ok", f"{settings.data} with {' and '.join(parts)}"


def _demo(settings: Settings) -> Answer:
    if any(DEMO_FOLDER.glob("*.safetensors")):
        return "ok", str(DEMO_FOLDER)
    return "bad", f"no model in {DEMO_FOLDER}: fetch the whole repository, or train one with python -m demo.train"


CHECKS: dict[str, Callable[[Settings], Answer]] = {
    "Python": _python,
    "packages": _packages,
    "device": _device,
    "Redis": _redis,
    "database": _database,
    "artefacts": _artefacts,
    "disk": _disk,
    "model roots": _roots,
    "data": _data,
    "demo model": _demo,
}
