"""The table of a tiny model, and the text that a model makes itself."""

import json
import math

import pytest
import torch

from benchmarks.perplexity import beside, generated, main
from benchmarks.tables import insert, table
from prunescope.evaluation.perplexity import perplexity
from prunescope.lm.loading import load
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
    (one, two) = results["loss_beside_magnitude"]["wanda"]["0.5"]
    before, after = results["perplexity"]["magnitude"]["0.5"][0], results["perplexity"]["wanda"]["0.5"][0]
    assert one["difference"] == pytest.approx(math.log(after / before), abs=1e-6) and one["windows"] == 4
    assert one["low"] < one["difference"] < one["high"] and two["windows"] == 4
    assert "Loss minus magnitude's" in document.read_text()


def test_losses_on_the_same_windows_are_compared_in_pairs():
    """Windows differ far more from each other than the two models do on one of them."""
    magnitude = [2.0, 5.0, 9.0, 4.0]
    found = beside([1.9, 4.8, 8.9, 3.8], magnitude)
    assert found.difference == pytest.approx(-0.15) and (found.better, found.windows) == (4, 4)
    # Of -0.1, -0.2, -0.1, -0.2: a standard error of 0.1 / (2 sqrt 3), and Student's t of 3 degrees of freedom.
    reach = 3.18245 * 0.0288675
    assert (found.low, found.high) == pytest.approx((-0.15 - reach, -0.15 + reach), rel=1e-5)


def test_tables_are_aligned_and_go_between_marks(tmp_path):
    assert table(["a", "bb"], [["ccc", "1"]]) == "| a   | bb |\n| --- | -: |\n| ccc |  1 |"
    document = tmp_path / "page.md"
    document.write_text("no marks")
    with pytest.raises(ValueError, match="no lines <!-- here -->"):
        insert(document, "here", "text")
