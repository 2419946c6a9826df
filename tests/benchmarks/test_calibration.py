"""The benchmark of false positives: activations in memory, and a small run on the demo model."""

import json
from pathlib import Path

import numpy as np
import pytest
import torch

from benchmarks.calibration import main
from benchmarks.placebo_sets import rates
from benchmarks.recorded import MemoryArchive, Recorded, rows_of_task
from prunescope.lm.loading import load
from prunescope.nsa.causal import Groups
from prunescope.nsa.preparation import Options


def test_the_archive_in_memory_returns_what_was_written() -> None:
    values = np.arange(24, dtype=np.float16).reshape(6, 4)  # [tokens, neurons]
    archive = MemoryArchive(tokens=6, neurons=4)
    archive.write("dense", 1, 0, values[:2])
    archive.write("dense", 1, 2, values[2:])
    ((first, block),) = archive.blocks("dense", 1)
    assert first == 0 and np.array_equal(block, values.T)
    assert archive.rows("dense", 1, np.array([3, 0]), np.array([5])).tolist() == [[23], [20]]
    archive.keep("table", 1, values)
    assert archive.kept("table", 1) is values


def test_random_words_are_as_many_as_the_real_ones() -> None:
    recorded = Recorded.of(load("demo"), rows_of_task("reviews", 4, None), Options(source="gradient", placebo=5))
    one, other = (recorded.with_random_words(np.random.default_rng(seed)) for seed in (0, 1))
    for example, drawn in zip(recorded.prepared.examples, one.examples, strict=True):
        assert example.token_ids == drawn.token_ids and len(example.words) == len(drawn.words)
    assert list(one.positions.words) != list(other.positions.words)


class Effects:
    """Stands in for measured ablations: the effect of a set is the sum of its neurons' effects."""

    def __init__(self, effects: np.ndarray) -> None:
        self.effects = effects

    def probability(self, groups: Groups, places: np.ndarray) -> float:
        return 1 - float(self.effects.ravel()[places].sum())


def test_rates_of_random_sets() -> None:
    effects = np.random.default_rng(0).exponential(1, (2, 50))
    found = rates(Effects(effects), np.ones((2, 50)), effects, neurons=35, trials=400, draws=19)  # type: ignore[arg-type]
    assert 0.02 <= found["all"] <= 0.08 < found["rest"]


@pytest.mark.slow
def test_a_run_makes_the_table(tmp_path: Path) -> None:
    document, output = tmp_path / "results.md", tmp_path / "results.json"
    document.write_text("<!-- calibration demo -->\n<!-- end -->\n")
    few = ["--texts", "6", "--placebo", "20", "--trials", "1", "--seeds", "1", "--samples", "2", "--seqlen", "32"]
    sets = ["--causal", "1", "--causal-neurons", "20", "--causal-rows", "2", "--threads", str(torch.get_num_threads())]
    main(["demo", *few, *sets, "--output", str(output), "--document", str(document)])
    found = json.loads(output.read_text())
    shares, observed = found["shares"], found["observed"]
    assert [*observed["headlines"]] == ["wanda 0.5", "wanda 2:4", "random 0.1", "noise 0.5"]
    assert 0 <= observed["q"] <= observed["p"] <= observed["ranked"] == 2672
    assert "calibration demo --texts 6 --placebo 20 --trials 1 --seeds 1 " in found["command"]
    assert str(tmp_path) not in found["command"]
    headlines = [share for share in shares if share["p_values"]]
    assert headlines and all(share["value"] == (share["p_values"][0] < 0.05) for share in headlines)
    assert {share["null"] for share in shares} == {"random words", "random 0.1", "noise 0.5", "random sets"}
    assert all(0 <= share["value"] <= 1 for share in shares) and len(shares) == 2 + 8 + 4 + 2
    assert "| random words    |" in document.read_text()
