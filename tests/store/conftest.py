"""Stores over a new database: SQLite, and PostgreSQL where it is installed."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from prunescope.jobs.settings import Settings
from prunescope.store.database import Database
from prunescope.store.submission import Stores


@pytest.fixture(params=["sqlite", "postgresql"])
def database_url(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    if request.param == "postgresql":
        url: str = request.getfixturevalue("postgres_url")
        return url
    return f"sqlite:///{tmp_path / 'a folder' / 'prunescope.db'}"


@pytest.fixture
def database(database_url: str) -> Iterator[Database]:
    database = Database(database_url)
    database.migrate()
    yield database
    database.dispose()


@pytest.fixture
def model_root(tmp_path: Path) -> Path:
    """A root with two model folders; nothing loads them, so their weights are a few bytes."""
    root = tmp_path / "models"
    for name in ("one", "two"):
        folder = root / name
        folder.mkdir(parents=True)
        (folder / "model.safetensors").write_bytes(name.encode())
        (folder / "config.json").write_text("{}")
    return root


@pytest.fixture
def stores(database_url: str, database: Database, tmp_path: Path, model_root: Path) -> Iterator[Stores]:
    settings = Settings(
        home=tmp_path / "home", database_url=database_url, model_roots=(model_root,), redis_url="redis://nobody:1/0"
    )
    stores = Stores.open(settings)
    yield stores
    stores.close()
