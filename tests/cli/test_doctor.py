"""`prunescope doctor`: each check's findings."""

from pathlib import Path

import pytest

from tests.cli.conftest import Command


def findings(command: Command) -> tuple[int, dict[str, tuple[str, str]]]:
    result = command("doctor", "--home", "home")
    assert "Traceback" not in result.stdout
    parts = {}
    for line in result.stdout.splitlines():
        state, rest = line[:5].strip(), line[5:]
        part, _, text = rest.partition("  ")
        parts[part.strip()] = (state, text.strip())
    return result.exit_code, parts


def test_a_machine_where_all_is_well(command: Command, tmp_path: Path) -> None:
    code, parts = findings(command)
    assert code == 0, parts
    assert parts["Redis"][0] == "ok" and "prunescope up starts a private one" in parts["Redis"][1]
    assert parts["database"][1].endswith("will be created by the first start")
    assert parts["demo model"][0] == "ok"
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("variable", "value", "part", "said"),
    [
        ("REDIS_URL", "redis://127.0.0.1:9/0", "Redis", "correct PRUNESCOPE_REDIS_URL"),
        ("REDIS_URL", "redis://:secret@127.0.0.1:9/0?password=secret", "Redis", "redis://***@127.0.0.1:9/0"),
        ("REDIS_URL", "redis://:secret/x@127.0.0.1:9/0", "Redis", "PRUNESCOPE_REDIS_URL is not a valid address"),
        ("DATABASE_URL", "postgresql://nobody:secret@127.0.0.1:9/none", "database", "correct PRUNESCOPE_DATABASE_URL"),
        ("MODEL_ROOTS", "/no/such/folder", "model roots", "/no/such/folder"),
        ("DATA", "/no/such/folder", "data", "PRUNESCOPE_DATA"),
        ("DEVICE", "cuda:99", "device", "cuda:99"),
    ],
)
def test_what_is_broken(
    command: Command, monkeypatch: pytest.MonkeyPatch, variable: str, value: str, part: str, said: str
) -> None:
    monkeypatch.setenv(f"PRUNESCOPE_{variable}", value)
    code, parts = findings(command)
    assert code == 1
    assert parts[part][0] == "bad" and said in parts[part][1]
    assert [name for name, (state, _) in parts.items() if state == "bad"] == [part]
    assert "secret" not in str(parts)


def test_a_running_redis_and_local_folders(
    command: Command, monkeypatch: pytest.MonkeyPatch, redis_url: str, tmp_path: Path
) -> None:
    (tmp_path / "data" / "eval").mkdir(parents=True)
    for name, value in (("REDIS_URL", redis_url), ("DATA", tmp_path / "data"), ("MODEL_ROOTS", tmp_path)):
        monkeypatch.setenv(f"PRUNESCOPE_{name}", str(value))
    code, parts = findings(command)
    assert code == 0
    assert "answers" in parts["Redis"][1] and parts["data"][1].endswith("with eval")
    assert parts["model roots"] == ("ok", str(tmp_path))
