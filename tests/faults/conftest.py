"""Tiny models to break, the command in this process, the service before it, and what an ending has to look like."""

import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import torch
from fastapi import FastAPI
from starlette.testclient import TestClient
from typer.testing import Result

from prunescope.jobs.settings import Settings
from prunescope.server.app import create_app
from tests.cli.conftest import Command, command, models
from tests.faults.broken import litter
from tests.models import tiny_folder

__all__ = ["command", "fresh", "models", "offline", "one_line", "place"]


def one_line(result: Result, codes: tuple[int, ...] = (2,)) -> str:
    """The one line that a command ends with. No traceback, no defect, no other exit code."""
    shown = (result.exit_code, result.stderr[-2000:], result.exception)
    assert isinstance(result.exception, SystemExit | None), shown
    assert result.exit_code in codes, shown
    assert "Traceback" not in result.stderr and "an unexpected " not in result.stderr, shown
    if result.exit_code == 0:
        return ""
    last = result.stderr.splitlines()[-1]
    assert last.startswith("prunescope: ") and result.stderr.count("prunescope: ") == 1, shown
    assert last.isprintable() and len(last) < 2500, shown
    return last


@pytest.fixture(autouse=True)
def offline(monkeypatch: pytest.MonkeyPatch) -> None:
    """What names a hub model finds no hub."""
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", True)


@pytest.fixture
def place(tmp_path: Path, command: Command) -> Path:
    """The working folder, with what the tables of broken inputs name in it."""
    litter(tmp_path)
    return tmp_path


@pytest.fixture
def fresh(tmp_path: Path) -> Callable[..., Path]:
    """A tiny model of one's own to break."""

    def make(**options: Any) -> Path:
        return tiny_folder(tmp_path / "broken", **options)

    return make


@pytest.fixture(scope="session")
def whole(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A model to copy."""
    return tiny_folder(tmp_path_factory.mktemp("whole") / "llama", dtype=torch.float16)


@pytest.fixture
def root(tmp_path: Path, whole: Path) -> Path:
    """A model root with `llama` and, to be broken, `broken`; also the data folder."""
    root = tmp_path / "root"
    shutil.copytree(whole, root / "llama")
    shutil.copytree(whole, root / "broken")
    (root / "eval").mkdir()
    (root / "calibration").mkdir()
    return root


@pytest.fixture
def settings(tmp_path: Path, redis_url: str, root: Path) -> Settings:
    return Settings(home=tmp_path / "home", redis_url=redis_url, model_roots=(root,), data=root)


@pytest.fixture
def client(settings: Settings) -> Iterator[TestClient]:
    app: FastAPI = create_app(settings)
    with TestClient(app, base_url="http://localhost", raise_server_exceptions=False) as client:
        yield client
