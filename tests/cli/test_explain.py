"""The command `explain`: its table, its files, and errors for bad input."""

import json
from pathlib import Path

import pytest

from tests.cli.conftest import Command, refused


@pytest.fixture(scope="module")
def damaged(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The demo model without 80 % of its weights."""
    from prunescope import prune

    folder = tmp_path_factory.mktemp("models") / "damaged"
    prune("demo", "magnitude", sparsity=0.8, output=folder)
    return folder


def test_a_table_and_the_json_of_an_explanation(command: Command, damaged: Path, tmp_path: Path) -> None:
    few = ("--limit", 30, "--rows", "fell", "--neurons", "30", "--draws", 2, "--steps", 1)
    models = ("--dense", "demo", "--pruned", damaged)
    made = command("explain", *models, "--task", "reviews", *few, "--json", "found.json", "--output", "out")
    assert made.exit_code == 0, made.stderr
    lines = made.stdout.splitlines()
    assert "reviews, 30 rows: pruning broke" in lines[0] and "restored by the best k neurons" in lines
    table = {line.split()[0]: line.split()[1:] for line in lines if line}
    assert table["k"][0] == "30" and table["margin"][-1] == table["random"][-1]
    assert sum(line.startswith("  L") for line in lines) == 10
    assert "all neurons and heads: " in made.stdout and "lost by the dense model" in made.stdout
    document = json.loads((tmp_path / "found.json").read_text())
    assert {"broken", "held_out", "mended"} <= set(document["rows"])
    assert isinstance(document["all"]["neurons"], float) and set(document["all"]) == {"neurons", "heads", "both"}
    assert document["all_intervals"]["neurons"][0] <= document["all"]["neurons"]
    first = document["curves"]["margin"][0]
    assert set(first) == {"k", "restored", "low", "high", "right_again", "newly_wrong"} and first["k"] == 30
    assert set(document["curves"]) == {"margin", "change", "activation", "score", "drop", "random"}
    assert sorted(path.name for path in tmp_path.iterdir()) == ["found.json", "out"]
    assert (tmp_path / "out" / "explanation.json").is_file()


def test_the_loss_on_a_text(command: Command, damaged: Path) -> None:
    few = ("--limit", 8, "--neurons", 1, "--draws", 2, "--steps", 1, "--no-heads", "--seqlen", 16)
    made = command("explain", "--dense", "demo", "--pruned", damaged, "--perplexity", "demo", *few)
    assert made.exit_code == 0, made.stderr
    assert "8 windows: the margin fell in" in made.stdout and "right again" not in made.stdout
    assert "all heads" not in made.stdout and "A text has no rows with words" in made.stdout


def test_bad_input_is_refused_before_the_work(command: Command, damaged: Path, tmp_path: Path) -> None:
    models = ("--dense", "demo", "--pruned", damaged)
    refused(command("explain", *models), "task", "needs either a task or a text")
    refused(command("explain", *models, "--task", "arc"), "arc_easy")
    refused(command("explain", *models, "--task", "reviews", "--seqlen", 8), "--seqlen needs --perplexity")
    refused(command("explain", *models, "--task", "reviews", "--neurons", "many"), "--neurons 'many'")
    refused(
        command("explain", "--dense", "demo", "--pruned", "demo", "--task", "reviews"), "is the dense model already"
    )
    (tmp_path / "full").mkdir()
    (tmp_path / "full" / "file").touch()
    refused(command("explain", *models, "--task", "reviews", "--output", "full"), "full")
    same = command("explain", *models, "--task", "reviews", "--limit", 4, "--json", "new.json")
    refused(same, "take more rows")
    assert not (tmp_path / "new.json").exists()
