"""The pruning benchmark on a model of two narrow layers: it runs and its report is complete; speed is not tested."""

import json

import pytest
import torch
from safetensors import safe_open
from safetensors.torch import load_file

from benchmarks import published_sparsegpt
from benchmarks.budgets import checked
from benchmarks.contenders import CASES, PLACEBOS, Bench
from benchmarks.pruning import main
from benchmarks.shapes import SHAPES, write
from benchmarks.stages import PLACES, REST, Stopwatch
from prunescope.lm.loading import load
from prunescope.pruning.methods import METHODS
from prunescope.pruning.patterns import NofM, Unstructured
from prunescope.pruning.walk import prune

CPU = torch.device("cpu")


@pytest.fixture(scope="module")
def bench(tmp_path_factory):
    shape = SHAPES["tiny"]
    return Bench(shape, write(shape, tmp_path_factory.mktemp("model"), CPU), CPU)


def test_a_run_measures_every_method_and_writes_tables(tmp_path, capsys):
    document = tmp_path / "results.md"
    document.write_text("# Results\n\n<!-- pruning tiny cpu -->\nstale\n<!-- end -->\n\nafter\n")
    work, output = tmp_path / "work", tmp_path / "out" / "results.json"
    options = ["--shape", "tiny", "--device", "cpu", "--rounds", "2", "--no-peer"]
    main([*options, "--work", str(work), "--output", str(output), "--document", str(document)])
    results = json.loads(output.read_text())
    assert {name.split()[0] for name in results["contenders"]} == {*METHODS, "published"} - PLACEBOS
    assert all(one["seconds"]["min"] > 0 for one in results["contenders"].values())
    assert {one["other"] for one in results["compared"]} == {
        "published way: sparsegpt 0.5",
        "published way: sparsegpt 2:4",
    }
    assert all(one["masks_equal"] == 1 for one in results["compared"])
    assert {budget["met"] for budget in results["budgets"]} <= {True, False}
    assert str(tmp_path) not in output.read_text()
    written = document.read_text()
    assert "| sparsegpt 2:4 " in written and "stale" not in written and written.endswith("<!-- end -->\n\nafter\n")
    assert "| sparsegpt 2:4 " in capsys.readouterr().out


def test_cases_cover_the_registry_except_placebos():
    assert set(METHODS) >= PLACEBOS
    assert {case.method for case in CASES} == set(METHODS) - PLACEBOS


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
def test_stages_add_up_to_the_run_and_what_was_replaced_comes_back(bench, case):
    add = prune.__globals__["capture"]
    watch = Stopwatch(CPU)
    seconds, _ = bench.ours(case, watch)
    assert set(watch.seconds) <= {*PLACES, REST}
    assert sum(watch.seconds.values()) >= seconds  # it runs from before the run to after it
    assert prune.__globals__["capture"] is add
    if case.method != "magnitude":
        assert watch.seconds["forward"] > 0


@pytest.mark.parametrize("pattern", [Unstructured(0.5), Unstructured(0.7), NofM(2, 4), NofM(4, 8)], ids=str)
@pytest.mark.parametrize("architecture", ["llama", "opt"])
def test_the_published_way_gives_the_authors_weights(shared, architecture, pattern):
    folder = shared / "reference_masks" / architecture
    model = load(folder / "dense").model
    windows = load_file(folder / "calibration.safetensors")["input_ids"]
    published_sparsegpt.prune(model, pattern, windows, CPU)
    expected = load_file(folder / f"sparsegpt-{str(pattern).replace(':', '_')}.safetensors")
    weights = model.state_dict()
    for name, weight in expected.items():
        assert torch.equal(weights[name] != 0, weight != 0)
        torch.testing.assert_close(weights[name], weight, rtol=1e-3, atol=1e-5)


def test_a_checkpoint_is_written_layer_by_layer_once(tmp_path):
    shape = SHAPES["tiny"]
    folder = write(shape, tmp_path / "model", CPU)
    shards = sorted(folder.glob("*.safetensors"))
    assert [shard.name for shard in shards] == [f"model-{part}.safetensors" for part in ("0", "1", "rest")]
    with safe_open(shards[0], "pt") as stored:
        assert all(name.startswith("model.layers.0.") for name in stored.keys())  # noqa: SIM118 - no mapping
    before = shards[0].stat().st_mtime_ns
    assert write(shape, folder, CPU) == folder
    assert shards[0].stat().st_mtime_ns == before
    model = load(folder).model
    assert model.config.num_hidden_layers == 2
    assert torch.equal(model.model.norm.weight, torch.ones(64))


def test_budgets():
    compared = [
        {
            "ours": "sparsegpt 0.5",
            "other": "published way: sparsegpt 0.5",
            "times_longer": {"median": 3.0},
            "masks_equal_first_layer": 0.99995,
        }
    ]
    ratios = {"magnitude 0.5": 0.2, "wanda 0.5": 1.9, "ria 2:4 reallocation": 9.0, "sparsegpt 0.5": 2.5}
    seconds = {"wanda 0.5": 21.0, "sparsegpt 0.5": 59.0}
    on_cpu = {one.what: one.met for one in checked("small", "cpu", ratios, seconds, compared)}
    assert on_cpu == {
        "magnitude 0.5, forward passes": False,
        "wanda 0.5, forward passes": True,
        "published way: sparsegpt 0.5, times longer": True,
        "published way: sparsegpt 0.5, same masks in the first layer": True,
    }
    on_gpu = {one.what: one.met for one in checked("llama-2-7b", "cuda", ratios, seconds, compared)}
    assert not on_gpu["published way: sparsegpt 0.5, times longer"]
    assert not on_gpu["wanda 0.5, seconds of the whole walk"]
    assert on_gpu["sparsegpt 0.5, seconds of the whole walk"]
