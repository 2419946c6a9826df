"""The application's settings, read from the environment. Built only in `server/app.py`, `worker/app.py` and `cli/`, and
passed on as an argument."""

import hashlib
import json
import os
import re
import tempfile
from pathlib import Path
from typing import Annotated, Any
from urllib.parse import quote

from pydantic import BeforeValidator, Field, field_validator
from pydantic_settings import BaseSettings, NoDecode, SettingsConfigDict

from prunescope.jobs.paths import expanded, expanded_address

DEVICES = re.compile(r"auto|cpu|cuda(:[0-9]{1,3})?")
DTYPES = ("auto", "float32", "float16", "bfloat16")

MAX_INTERVAL_SECONDS = 86_400
"""Upper bound for the lease time and the sweep interval: a day."""

LONGEST_SOCKET_PATH = 100
"""Maximum length of a Unix socket's path that every system accepts, in bytes (Linux accepts 107)."""


def _separated(separator: str) -> Any:
    """A validator that splits an environment variable with several values: a JSON list, or values with `separator`
    between them."""

    def split(value: object) -> object:
        if not isinstance(value, str):
            return value
        if value.lstrip().startswith("["):
            try:
                return json.loads(value)
            except (ValueError, RecursionError) as error:
                raise ValueError(f"begins with [ but is not a JSON list ({error})") from None
        return [part.strip() for part in value.split(separator) if part.strip()]

    return BeforeValidator(split)


Expanded = Annotated[Path, BeforeValidator(lambda value: expanded(value) if isinstance(value, str | Path) else value)]
"""A path whose `~` is expanded."""


class Settings(BaseSettings):
    """Settings from the environment variables `PRUNESCOPE_<NAME>`; constructor arguments take precedence. An empty
    variable is ignored. `~` is expanded in every path and local address."""

    model_config = SettingsConfigDict(
        env_prefix="PRUNESCOPE_", frozen=True, extra="ignore", validate_default=True, env_ignore_empty=True
    )

    home: Expanded = Path(".prunescope")
    """Data folder: database, artefacts, the private Redis."""
    database_url: str | None = None
    """SQLAlchemy address; None: SQLite in the data folder."""
    redis_url: str | None = None
    """`redis://host:port/0` or `unix:///path/to/socket`; None: the private Redis of the data folder."""
    artefacts_url: str | None = None
    """Any fsspec address (`s3://bucket/folder`); None: a folder in the data folder."""
    data: Expanded | None = None
    """Folder whose subfolders `eval/` and `calibration/` are searched for data sets before the hub."""
    model_roots: Annotated[tuple[Expanded, ...], NoDecode, _separated(os.pathsep)] = ()
    """Folders below which a spec may name models and files; the variable separates them as PATH does."""
    host: str = "127.0.0.1"
    port: int = Field(default=8000, ge=0, le=65_535)
    allowed_hosts: Annotated[tuple[str, ...], NoDecode, _separated(",")] = ("127.0.0.1", "localhost", "[::1]")
    """Host names for which the web server accepts requests."""
    lease_seconds: float = Field(default=60, gt=0, le=MAX_INTERVAL_SECONDS, allow_inf_nan=False)
    """Duration of a lease: a running job whose lease is not renewed for this time is queued again."""
    sweep_seconds: float = Field(default=5, gt=0, le=MAX_INTERVAL_SECONDS, allow_inf_nan=False)
    """Interval at which the sweeper looks for expired leases and unsent messages."""
    device: str = "auto"
    dtype: str = "auto"

    @field_validator("*", mode="before")
    @classmethod
    def _utf8(cls, value: object) -> object:
        if isinstance(value, str):
            try:
                value.encode()
            except UnicodeEncodeError:
                raise ValueError(f"{value!r} is not UTF-8") from None
        return value

    @field_validator("database_url", "redis_url", "artefacts_url")
    @classmethod
    def _local_address(cls, address: str | None) -> str | None:
        return None if address is None else _expanded_url(address)

    @field_validator("device")
    @classmethod
    def _known_device(cls, name: str) -> str:
        if not DEVICES.fullmatch(name):
            raise ValueError(f"device {name!r} is unknown: auto, cpu, cuda or cuda:1 (any number)")
        return name

    @field_validator("dtype")
    @classmethod
    def _known_dtype(cls, name: str) -> str:
        if name not in DTYPES:
            raise ValueError(f"dtype {name!r} is unknown: {', '.join(DTYPES)}")
        return name

    @property
    def resolved_home(self) -> Path:
        """The data folder as an absolute path."""
        return Path(os.path.realpath(self.home))  # for a symlink loop, opening the folder raises later

    @property
    def resolved_database_url(self) -> str:
        """The SQLAlchemy address with its driver: `postgres://` and `postgresql://` become `postgresql+psycopg://`."""
        if self.database_url is None:
            return f"sqlite:///{quote(str(self.resolved_home / 'prunescope.db'))}"
        scheme, colon, rest = self.database_url.partition(":")
        return f"postgresql+psycopg{colon}{rest}" if scheme in {"postgres", "postgresql"} else self.database_url

    @property
    def resolved_artefacts_url(self) -> str:
        """The fsspec address of the artefacts, by default the path of a folder in the data folder."""
        return self.artefacts_url or str(self.resolved_home / "artefacts")

    @property
    def private_redis_socket(self) -> Path:
        """The socket path of the private Redis: inside the data folder, or in the temporary folder if the path in the
        data folder is too long for a socket."""
        socket = self.resolved_home / "redis.sock"
        if len(os.fsencode(socket)) <= LONGEST_SOCKET_PATH:
            return socket
        name = hashlib.sha256(os.fsencode(socket)).hexdigest()[:16]
        return Path(tempfile.gettempdir()) / f"prunescope-{os.getuid()}" / f"{name}.sock"

    @property
    def resolved_redis_url(self) -> str:
        """The Redis address in redis-py's form (`jobs/queue.py` converts it for Celery)."""
        return self.redis_url or f"unix://{quote(str(self.private_redis_socket))}"


def _expanded_url(address: str) -> str:
    """An address with `~` expanded if its path is local (a SQLite file, a socket, a folder). Raises BadPath as
    `expanded` does."""
    for scheme in ("sqlite:///", "unix://"):
        if address.startswith(f"{scheme}~"):
            return f"{scheme}{quote(str(expanded(address.removeprefix(scheme))), safe='/?=&%')}"
    return expanded_address(address)
