"""The stage explain: rows of a task and windows of a text, the artefact, and errors for bad input."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from prunescope import running
from prunescope.jobs.settings import Settings
from prunescope.jobs.specs import ExplainSpec, parse_spec
from prunescope.lm.errors import BadInput
from prunescope.store.explanations.documents import RANKINGS, Explanation
from prunescope.store.explanations.folder import HEADS, MEASURES, SHARES, read_document
from tests.models import tiny_folder


@pytest.fixture(scope="module")
def damaged(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The demo model without 80 % of its weights."""
    folder = tmp_path_factory.mktemp("models") / "damaged"
    document = {"model": "demo", "method": "magnitude", "pattern": 0.8}
    spec: Any = parse_spec("prune", document)
    running.prune(spec, folder, Settings(_env_file=None), lambda _: None)  # type: ignore[call-arg]
    return folder


def run(output: Path | None, stages: list[str] | None = None, **document: Any) -> Explanation:
    spec = parse_spec("explain", {"dense": "demo", "limit": 40, "neurons": [30], "draws": 2, "steps": 2, **document})
    assert isinstance(spec, ExplainSpec)
    said = stages if stages is not None else []
    settings = Settings(_env_file=None)  # type: ignore[call-arg]
    return running.explain(spec, output, settings, lambda progress: said.append(progress.stage))


def test_a_task_is_explained_and_its_artefact_reads_back(damaged: Path, tmp_path: Path) -> None:
    stages: list[str] = []
    found = run(tmp_path / "out", stages, pruned=str(damaged), task="reviews", rows="fell")
    assert sorted(file.name for file in (tmp_path / "out").iterdir()) == ["explanation.json", HEADS, SHARES]
    assert read_document((tmp_path / "out" / "explanation.json").read_bytes()) == found
    assert {"record dense", "record pruned", "margin shares", "restore all neurons"} <= {*stages}
    rows = found.rows
    assert (rows.rows, rows.halves, rows.held_out) == (40, (20, 20), 40) and rows.measured >= 2
    assert found.source.task == "reviews" and found.measure == "margin" and found.accuracy is not None
    assert list(found.curves) == list(RANKINGS)
    neurons = found.shape[0] * found.shape[1]
    for curve in found.curves.values():
        assert [point.k for point in curve] == [30, round(neurons / 20), neurons]
        assert curve[-1].restored == found.all.neurons.restored
    assert found.accounting.neurons == pytest.approx(found.all.neurons.restored, abs=0.3)
    assert found.answers is not None and found.answers.labels == ["negative", "positive"]
    assert sum(found.answers.said.dense.values()) == pytest.approx(1)

    shares = dict(zip(MEASURES, np.load(tmp_path / "out" / SHARES), strict=True))
    best = found.neurons[0]
    assert shares["rank"][best.layer, best.neuron] == best.rank == 1
    assert shares["margin_share"][best.layer, best.neuron] == pytest.approx(best.share)
    assert shares["margin_share"].max() == pytest.approx(best.share)
    assert shares["margin_share"].sum() == pytest.approx(sum(layer.share for layer in found.layers), rel=1e-4)
    np.testing.assert_allclose(
        shares["prior_share"].sum() + shares["content_share"].sum(),
        found.answers.prior + found.answers.content,  # type: ignore[operator]
        rtol=1e-3,
    )
    assert best.words and best.words[0].dense >= best.words[-1].dense > 0
    assert found.heads[0].share == max(head.share for head in found.heads)


def test_a_text_is_explained_by_the_loss_of_its_windows(damaged: Path) -> None:
    found = run(None, pruned=str(damaged), perplexity={"dataset": "demo", "seqlen": 32}, limit=12, heads=False)
    assert (found.measure, found.rows.rows, found.rows.measured_are) == ("loss", 12, "fell")
    assert found.accuracy is None and found.answers is None and found.heads == [] and found.all.heads is None
    assert set(found.curves) == {"margin", "change", "activation", "random"} and found.source.sha256
    assert found.margins.lost > 0 and found.all.neurons.right_again is None
    assert any("no rows with words" in note for note in found.notes)


def test_the_same_spec_gives_the_same_document(damaged: Path) -> None:
    first, again = (run(None, pruned=str(damaged), task="reviews", rows="fell", heads=False) for _ in range(2))
    assert {**first.model_dump(), "seconds": 0} == {**again.model_dump(), "seconds": 0}


def test_rows_without_a_margin_are_left_out(damaged: Path, tmp_path: Path) -> None:
    rows = [
        {"question": f"What is {n}?", "choices": {"text": ["yes", "no"], "label": ["A", "B"]}, "answerKey": "AB"[n % 2]}
        for n in range(20)
    ]
    rows[3]["choices"] = {"text": ["yes", "yes"], "label": ["A", "B"]}
    (tmp_path / "eval").mkdir()
    (tmp_path / "eval" / "arc_easy.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    spec: Any = parse_spec(
        "explain",
        {
            "dense": "demo",
            "pruned": str(damaged),
            "task": "arc_easy",
            "rows": "fell",
            "neurons": [1],
            "draws": 2,
            "steps": 1,
        },
    )
    settings = Settings(_env_file=None, data=tmp_path)  # type: ignore[call-arg]
    found = running.explain(spec, None, settings, lambda _: None)
    assert [(row.row, row.reason) for row in found.rows.left_out] == [
        (3, "a wrong choice is the same text as the right one")
    ]
    assert found.rows.rows == 19
    for row in rows:
        row["choices"] = {"text": ["yes", "yes"], "label": ["A", "B"]}
    (tmp_path / "eval" / "arc_easy.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    with pytest.raises(BadInput, match="no row of arc_easy has a margin: a wrong choice is the same text"):
        running.explain(spec, None, settings, lambda _: None)


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"pruned": "same"}, "pruning broke 0 of 40 rows"),
        ({"pruned": "same", "rows": "fell"}, "the margin fell in 0 of 40 rows"),
        ({"pruned": "llama"}, "give a pruned copy of the dense model"),
        ({"task": "reviews", "limit": 4}, r"take more rows \(limit\)"),
        ({"perplexity": {"dataset": "demo", "seqlen": 999_999}, "task": None}, "seqlen 999999 is more than"),
    ],
)
def test_bad_input_is_one_line_and_leaves_nothing(
    damaged: Path, tmp_path: Path, change: dict[str, Any], said: str
) -> None:
    if change.get("pruned") == "same":
        import shutil

        from prunescope.jobs.references import DEMO_FOLDER

        shutil.copytree(DEMO_FOLDER, tmp_path / "same")
    if change.get("pruned") == "llama":
        tiny_folder(tmp_path / "llama")
    document = {"pruned": str(damaged), "task": "reviews", **change}
    if "pruned" in change:
        document["pruned"] = str(tmp_path / change["pruned"])
    with pytest.raises(BadInput, match=said) as caught:
        run(tmp_path / "out", **document)
    assert "\n" not in str(caught.value) and not (tmp_path / "out").exists()


def test_content_needs_choices_that_are_the_same_in_every_row(tmp_path: Path) -> None:
    rows = [
        {"question": f"What is {n}?", "choices": {"text": [f"{n}", f"{n + 1}"], "label": ["A", "B"]}, "answerKey": "A"}
        for n in range(8)
    ]
    (tmp_path / "eval").mkdir()
    (tmp_path / "eval" / "arc_easy.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    spec: Any = parse_spec("explain", {"dense": "demo", "pruned": "x", "task": "arc_easy", "content": True})
    settings = Settings(_env_file=None, data=tmp_path)  # type: ignore[call-arg]
    with pytest.raises(BadInput, match="content: the choices of arc_easy differ from row to row"):
        running.explain(spec, None, settings, lambda _: None)
