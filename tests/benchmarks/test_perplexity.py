"""Perplexity against the definition, and the table of a tiny model."""

import json
import math

import pytest
import torch

from benchmarks.perplexity import generated, main, perplexity
from benchmarks.tables import insert, table
from lm.loading import load
from tests.models import tiny, tiny_folder


def test_perplexity_is_the_mean_over_all_predicted_tokens():
    model = tiny("llama")
    windows = torch.randint(300, (3, 7), generator=torch.Generator().manual_seed(0))
    losses = []
    for window in windows:
        for position in range(1, 7):
            logits = model(input_ids=window[None, :position]).logits[0, -1]
            losses.append(-logits.log_softmax(dim=-1)[window[position]].item())
    assert perplexity(model, windows) == pytest.approx(math.exp(sum(losses) / 18), rel=1e-4)


def test_a_model_is_least_surprised_by_text_of_its_own(tmp_path):
    dense = load(tiny_folder(tmp_path))
    windows = generated(dense, 16, 32, seed=3)
    assert windows.shape == (16, 32) and bool((windows[:, 0] == dense.model.config.bos_token_id).all())
    assert torch.equal(windows, generated(dense, 16, 32, seed=3))
    assert not torch.equal(windows, generated(dense, 16, 32, seed=4))
    assert perplexity(dense.model, windows) < perplexity(tiny("llama", seed=1), windows)


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
