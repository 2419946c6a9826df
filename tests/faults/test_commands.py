"""Broken inputs through every command: one line, exit code 2, nothing left behind."""

from collections.abc import Callable, Mapping
from pathlib import Path

import pytest

from prunescope.cli.submit import read_request
from tests.cli.conftest import TEXT, Command
from tests.faults import broken
from tests.faults.conftest import one_line

RIA = ("--method", "ria")
HALF = ("--sparsity", 0.5)
MAGNITUDE = ("--method", "magnitude", *HALF)
CALIBRATION = ("--calibration", "demo", "--samples", 2, "--seqlen", 16)
REVIEWS = ("--tasks", "reviews", "--limit", 2)


def named(table: Mapping[str, object]) -> pytest.MarkDecorator:
    """A test for each line of a table."""
    return pytest.mark.parametrize("name", list(table))


def new(folder: Path, before: set[str]) -> set[str]:
    return {path.name for path in folder.iterdir()} - before


def names_in(folder: Path) -> set[str]:
    return {path.name for path in folder.iterdir()}


@named(broken.MODELS)
def test_a_broken_model(command: Command, fresh: Callable[..., Path], models: Path, tmp_path: Path, name: str) -> None:
    folder = fresh()
    broken.MODELS[name](folder)
    before = names_in(tmp_path)
    texts = ("--texts", models / "texts.jsonl", "--permutations", 0, "--output", "group")
    endings = {
        one_line(command("prune", folder, *MAGNITUDE, "--output", "out"), (0, 2)) == "",
        one_line(command("prune", folder, *RIA, *HALF, *CALIBRATION, "--output", "out2"), (0, 2)) == "",
        one_line(command("evaluate", folder, *REVIEWS, "--json", "result.json"), (0, 2)) == "",
    }
    one_line(command("attribute", "--dense", folder, "--pruned", models / "llama", *texts), (0, 2))
    if endings == {False}:
        assert names_in(tmp_path) <= before | {"group"}
    other = ("--texts", models / "texts.jsonl", "--permutations", 0, "--output", "group2")
    one_line(command("attribute", "--dense", models / "llama", "--pruned", folder, *other), (0, 2))


@named(broken.ROWS)
def test_broken_rows(command: Command, models: Path, tmp_path: Path, name: str) -> None:
    (tmp_path / "rows.jsonl").write_bytes(broken.ROWS[name])
    (tmp_path / "data" / "eval").mkdir(parents=True)
    (tmp_path / "data" / "calibration").mkdir()
    for file in ("eval/sst2.jsonl", "calibration/c4.jsonl", "calibration/sst2.jsonl"):
        (tmp_path / "data" / file).write_bytes(broken.ROWS[name])
    before = names_in(tmp_path)
    llama, data = models / "llama", ("--data", tmp_path / "data")
    calibrated = (*RIA, *HALF, "--samples", 2, "--seqlen", 16, "--output", "out")
    texts = ("--texts", "rows.jsonl", "--permutations", 0, "--output", "group")
    one_line(command("prune", llama, *calibrated, "--calibration", "rows.jsonl"))
    one_line(command("prune", llama, *calibrated, "--calibration", "c4", *data))
    one_line(command("prune", llama, *calibrated, "--calibration", "sst2", *data))
    one_line(command("evaluate", llama, "--perplexity", "rows.jsonl", "--json", "result.json"))
    one_line(command("evaluate", llama, "--tasks", "sst2", *data, "--json", "result.json"))
    one_line(command("attribute", "--dense", llama, "--pruned", models / "bare", *texts))
    assert new(tmp_path, before) == set()


@named(broken.YAML)
def test_broken_yaml(command: Command, tmp_path: Path, name: str) -> None:
    (tmp_path / "job.yaml").write_bytes(broken.YAML[name])
    for more in ((), ("--dry-run",)):
        # A document that only a server could refuse ends at the address, where none is.
        result = command("submit", "job.yaml", "--server", "http://127.0.0.1:9", *more)
        line = one_line(result)
        assert "job.yaml" in line, line


@pytest.mark.parametrize("name", list(broken.REFERENCES))
def test_a_file_for_submit_that_is_none(command: Command, place: Path, name: str) -> None:
    one_line(command("submit", broken.REFERENCES[name], "--server", "http://127.0.0.1:9"))


@pytest.mark.parametrize(
    "server",
    ["frob", "http://", "http://[::1", "ftp://x", "http://x:frob", "http://x:99999", "http://\udcff", "~", "\0"],
)
def test_a_server_that_is_no_address(command: Command, tmp_path: Path, server: str) -> None:
    (tmp_path / "job.yaml").write_text("kind: prune\nspec: {model: demo}\n")
    one_line(command("submit", "job.yaml", "--server", server))
    assert "no server answers" in one_line(command("submit", "job.yaml", "--server", "http://127.0.0.1:9"), (1,))


@named(broken.PRUNE_OPTIONS)
def test_broken_options_of_prune(command: Command, models: Path, place: Path, name: str) -> None:
    before = names_in(place)
    usual = (*RIA, *HALF, *CALIBRATION, "--output", "out")
    one_line(command("prune", models / "llama", *usual, *broken.PRUNE_OPTIONS[name]))
    assert new(place, before) == set()


@named(broken.EVALUATE_OPTIONS)
def test_broken_options_of_evaluate(command: Command, models: Path, place: Path, name: str) -> None:
    before = names_in(place)
    result = command("evaluate", models / "llama", *REVIEWS, *broken.EVALUATE_OPTIONS[name], "--json", "result.json")
    one_line(result)
    assert new(place, before) == set()


@named(broken.ATTRIBUTE_OPTIONS)
def test_broken_options_of_attribute(command: Command, models: Path, place: Path, name: str) -> None:
    before = names_in(place)
    usual = ("--dense", models / "llama", "--pruned", models / "twin", "--permutations", 0, "--output", "group")
    texts = ("--texts", models / "texts.jsonl")
    one_line(command("attribute", *usual, *texts, *broken.ATTRIBUTE_OPTIONS[name]))
    assert new(place, before) == set()


@named(broken.EVERY_STAGE)
def test_broken_options_of_every_stage(command: Command, models: Path, place: Path, name: str) -> None:
    before, more = names_in(place), broken.EVERY_STAGE[name]
    texts = ("--pruned", models / "bare", "--texts", models / "texts.jsonl", "--output", "group")
    one_line(command("prune", models / "llama", *MAGNITUDE, "--output", "out", *more))
    one_line(command("evaluate", models / "llama", *REVIEWS, *more))
    one_line(command("attribute", "--dense", models / "llama", *texts, *more))
    assert new(place, before) == set()


@named(broken.REFERENCES)
def test_a_model_that_is_none(command: Command, models: Path, place: Path, name: str) -> None:
    before, reference = names_in(place), broken.REFERENCES[name]
    texts = ("--texts", models / "texts.jsonl", "--permutations", 0, "--output", "group")
    one_line(command("prune", reference, *MAGNITUDE, "--output", "out"))
    one_line(command("evaluate", reference, *REVIEWS, "--json", "result.json"))
    one_line(command("attribute", "--dense", reference, "--pruned", models / "llama", *texts))
    one_line(command("attribute", "--dense", models / "llama", "--pruned", reference, *texts))
    assert new(place, before) == set()


@named(broken.SETTINGS)
def test_a_setting_that_cannot_be(command: Command, place: Path, monkeypatch: pytest.MonkeyPatch, name: str) -> None:
    variable, value = broken.SETTINGS[name]
    monkeypatch.setenv(f"PRUNESCOPE_{variable}", value)
    before = names_in(place)
    (place / "job.yaml").write_text("kind: prune\nspec: {model: demo}\n")
    for arguments in (
        ("up",),
        ("server",),
        ("worker",),
        ("doctor",),
        ("submit", "job.yaml"),
        ("prune", "demo", *MAGNITUDE, "--output", "out"),
        ("evaluate", "demo", *REVIEWS),
        ("attribute", "--dense", "demo", "--pruned", "x", "--texts", "job.yaml", "--output", "out"),
    ):
        assert f"PRUNESCOPE_{variable}" in one_line(command(*arguments)), arguments
    assert new(place, before) == {"job.yaml"}


@named(broken.SERVICES)
def test_a_service_that_cannot_be(command: Command, place: Path, monkeypatch: pytest.MonkeyPatch, name: str) -> None:
    variable, value = broken.SERVICES[name]
    monkeypatch.setenv(f"PRUNESCOPE_{variable}", value)
    one_line(command("up", "--no-demo", "--port", 0), (1, 2))
    one_line(command("server", "--port", 0), (1, 2))
    if variable != "HOST":
        one_line(command("worker"), (1, 2))
    found = command("doctor")
    assert found.exit_code in (0, 1) and not found.stderr and "Traceback" not in found.stdout


def test_text_is_still_text(command: Command, models: Path, tmp_path: Path) -> None:
    """The inputs that the others are broken forms of."""
    (tmp_path / "rows.jsonl").write_text(f'{{"text": "{TEXT}", "words": ["bad"]}}\n')
    texts = ("--texts", "rows.jsonl", "--permutations", 0, "--output", "group")
    assert command("prune", models / "llama", *MAGNITUDE, "--output", "out").exit_code == 0
    assert command("attribute", "--dense", models / "llama", "--pruned", "out", *texts).exit_code == 0
    assert command("evaluate", "out", *REVIEWS, "--json", "result.json").exit_code == 0


def test_yaml_is_read_as_it_is_written(tmp_path: Path) -> None:
    """YAML 1.1 would make 124 of 2:4 and a date of 2024-01-02."""
    spec = "{model: 2024-01-02, pattern: 2:4, a: 1_000, b: 0.5, c: yes}"
    (tmp_path / "job.yaml").write_text(f"kind: prune\nspec: {spec}\n")
    read = read_request(tmp_path / "job.yaml")["spec"]
    assert read == {"model": "2024-01-02", "pattern": "2:4", "a": 1000, "b": 0.5, "c": True}
