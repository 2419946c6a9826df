"""The evaluation benchmark on a few rows: both commands give the same accuracy and the report is complete; speed is not
tested."""

import json
from pathlib import Path

import pytest

from benchmarks.evaluation import main, verdict
from benchmarks.evaluation_work import OURS, OURS_BATCH, THEIRS, shaped
from prunescope.lm.loading import DEMO, load

SENTENCES = ("a fine film", "dull and far too long", "warm, funny and sad", "nothing in it works", "a joy")


@pytest.fixture
def data(tmp_path: Path) -> Path:
    rows = [{"sentence": text, "label": place % 2, "idx": place} for place, text in enumerate(SENTENCES)]
    (tmp_path / "data" / "eval").mkdir(parents=True)
    (tmp_path / "data" / "eval" / "sst2.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    return tmp_path / "data"


@pytest.mark.slow
def test_both_commands_give_the_same_accuracy_and_all_is_told(tmp_path: Path, data: Path, capsys) -> None:
    pytest.importorskip("accelerate", reason="the harness's own model class needs accelerate")
    document, output = tmp_path / "results.md", tmp_path / "out" / "evaluation.json"
    document.write_text("# Results\n\n<!-- evaluation cpu -->\nstale\n<!-- end -->\n\nafter\n")
    small = ["--tasks", "sst2", "--rows", "4", "--batch", "2", "--rounds", "1", "--threads", "1"]
    main(["--data", str(data), "--model", "demo", *small, "--output", str(output), "--document", str(document)])
    results = json.loads(output.read_text())
    assert results["rows"] == {"sst2": 4}
    found = results["models"]["demo"]
    assert set(found["seconds"]) == {OURS, OURS_BATCH.format(2), THEIRS.format(2)}
    for (one,) in found["seconds"].values():
        assert 0 < one["scoring"] <= one["evaluation"] < one["command"] and one["cpu"] > 0
    assert found["accuracy"]["sst2"] in {0, 0.25, 0.5, 0.75, 1}
    assert str(tmp_path) not in output.read_text()
    written = document.read_text()
    assert "| demo: lm_eval, batch 2 " in written and "stale" not in written and written.endswith("end -->\n\nafter\n")
    assert written.count("slower") == 1 and "| demo: prunescope evaluate " in capsys.readouterr().out


def test_a_shape_reads_what_another_model_reads(tmp_path: Path) -> None:
    shape, demo = load(shaped("tiny", DEMO, tmp_path), device="cpu"), load(DEMO, device="cpu")
    assert shape.tokenizer is not None and demo.tokenizer is not None
    assert shape.tokenizer(SENTENCES[0])["input_ids"] == demo.tokenizer(SENTENCES[0])["input_ids"]
    assert shape.model.config.vocab_size == len(demo.tokenizer)
    assert shape.model.config.max_position_embeddings == demo.model.config.max_position_embeddings


@pytest.mark.parametrize(("ours", "not_slower"), [(1.0, True), (2.0, True), (2.5, False)])
def test_the_verdict_is_of_the_middle_round(ours: float, not_slower: bool) -> None:
    def taken(*seconds: float) -> list[dict[str, float]]:
        return [dict.fromkeys(("command", "evaluation", "scoring", "cpu"), each) for each in seconds]

    found = {"seconds": {OURS_BATCH.format(8): taken(ours, 9, 1), THEIRS.format(8): taken(2, 2, 2)}}
    said = verdict(found, 8)
    assert said["not_slower"] is not_slower
    assert said["ours_over_theirs"]["evaluation"] == ours / 2
