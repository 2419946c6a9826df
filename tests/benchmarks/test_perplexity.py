"""The table of a tiny model, and the text that a model makes itself."""

import json

import pytest
import torch

from benchmarks.perplexity import generated, main
from benchmarks.tables import insert, table
from evaluation.perplexity import perplexity
from lm.loading import load
from tests.models import tiny, tiny_folder


def test_a_model_is_least_surprised_by_text_of_its_own(tmp_path):
    dense = load(tiny_folder(tmp_path))
    windows = generated(dense, 16, 32, seed=3)
    assert windows.shape == (16, 32) and bool((windows[:, 0] == dense.model.config.bos_token_id).all())
    assert torch.equal(windows, generated(dense, 16, 32, seed=3))
    assert not torch.equal(windows, generated(dense, 16, 32, seed=4))
    own, others = (perplexity(model, windows).perplexity for model in (dense.model, tiny("llama", seed=1)))
    assert own < others


@pytest.mark.parametrize("text", ["generated", "file"])
def test_a_run_makes_the_table(tmp_path, text):
    folder = tiny_folder(tmp_path / "model")
    held_out = tmp_path / "held.jsonl"
    held_out.write_text('{"text": "the room was small"}\n{"text": "and the food was bad"}\n' * 20)
    document, output = tmp_path / "results.md", tmp_path / "results.json"
    document.write_text("<!-- perplexity model -->\n<!-- end -->\n")
    options = ["--device", "cpu", "--samples", "4", "--seqlen", "16", "--held-out", "4", "--seeds", "2"]
    source = "generated" if text == "generated" else str(held_out)
    main([str(folder), "--text", source, *options, "--output", str(output), "--document", str(document)])
    results = json.loads(output.read_text())
    assert results["dense"] > 1 and results["text"]["windows"] == [4, 16]
    assert len(results["perplexity"]["sparsegpt"]["2:4"]) == 2 and len(results["perplexity"]["magnitude"]["0.5"]) == 1
    assert "0.5" not in results["perplexity"]["ria, reallocation"]
    assert "| ria, reallocation |" in document.read_text()


def test_tables_are_aligned_and_go_between_marks(tmp_path):
    assert table(["a", "bb"], [["ccc", "1"]]) == "| a   | bb |\n| --- | -: |\n| ccc |  1 |"
    document = tmp_path / "page.md"
    document.write_text("no marks")
    with pytest.raises(ValueError, match="no lines <!-- here -->"):
        insert(document, "here", "text")
