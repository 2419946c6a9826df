"""Fixtures: the command run in this process, and tiny models for it."""

import json
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from typer.testing import CliRunner, Result

from prunescope.cli.main import app
from tests.models import tiny_folder

TEXT = "the room was small and the food was bad but the staff were kind"

Command = Callable[..., Result]


@pytest.fixture(scope="session")
def models(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with `llama` (float16), `twin` (the same in float32), `bare` (no safetensors), `calibration.jsonl` and
    `texts.jsonl`."""
    root = tmp_path_factory.mktemp("models")
    tiny_folder(root / "llama", dtype=torch.float16)
    tiny_folder(root / "twin")
    (root / "bare").mkdir()
    (root / "bare" / "config.json").write_text("{}")
    rows = [{"text": f"{TEXT} {number}"} for number in range(20)]
    (root / "calibration.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    (root / "texts.jsonl").write_text(json.dumps({"text": TEXT, "label": "negative", "words": ["bad"]}) + "\n")
    return root


@pytest.fixture
def command(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Command:
    """`command("prune", "demo", ...)`: exit code, stdout and stderr, in an empty working folder."""
    monkeypatch.chdir(tmp_path)
    for name in ("HOME", "REDIS_URL", "DATABASE_URL", "ARTEFACTS_URL", "DATA", "MODEL_ROOTS", "PORT", "HOST"):
        monkeypatch.delenv(f"PRUNESCOPE_{name}", raising=False)

    def run(*arguments: object) -> Result:
        return CliRunner().invoke(app, [str(argument) for argument in arguments])

    return run


def refused(result: Result, *said: str) -> None:
    """Exit code 2 and one line on stderr (after the lines of progress, if any) that says all of `said`."""
    assert result.exit_code == 2, (result.exit_code, result.stderr, result.exception)
    last = result.stderr.splitlines()[-1]
    assert last.startswith("prunescope: ")
    assert result.stderr.count("prunescope: ") == 1
    for part in said:
        assert part in last, last
