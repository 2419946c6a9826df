"""Pruning, evaluating and attributing from Python, with the demo model: named and loaded, on disk and in memory."""

import copy
import gc
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from safetensors.torch import load_file
from transformers import AutoModelForCausalLM, PreTrainedModel, T5Config, T5ForConditionalGeneration

import prunescope
from prunescope import PrunescopeError
from prunescope.attributions import Attribution
from prunescope.jobs.documents import Progress
from prunescope.jobs.references import DEMO_FOLDER
from prunescope.lm.adopted import tokenizer_of
from prunescope.lm.architecture import decoder_layers, linears, weight_view
from prunescope.results import PrunedModel
from prunescope.store.attributions.activations import ActivationStore
from prunescope.store.attributions.documents import HeadWriter

TEXTS = ["The food was bland and the service badly late.", "A warm, lovely\nlittle film."]
WORDS = [["bland", "badly"], ["lovely"]]
CALIBRATION = {"dataset": "demo", "samples": 4, "seqlen": 32}


@pytest.fixture
def dense() -> PreTrainedModel:
    model: PreTrainedModel = AutoModelForCausalLM.from_pretrained(DEMO_FOLDER)
    return model


@pytest.fixture(scope="module")
def pruned(tmp_path_factory: pytest.TempPathFactory) -> PrunedModel:
    folder = tmp_path_factory.mktemp("api") / "pruned"
    return prunescope.prune("demo", sparsity=0.5, calibration=CALIBRATION, output=folder)


@pytest.fixture(scope="module")
def attribution(pruned: PrunedModel, tmp_path_factory: pytest.TempPathFactory) -> Attribution:
    output = tmp_path_factory.mktemp("api") / "attribution"
    return prunescope.attribute("demo", [pruned], TEXTS, words=WORDS, permutations=20, output=output)


def zeros_of(model: PreTrainedModel) -> dict[tuple[int, str], float]:
    return {
        (index, name): float((weight_view(module) == 0).float().mean())
        for index, layer in enumerate(decoder_layers(model))
        for name, module in linears(layer).items()
    }


def test_importing_and_opening_bring_no_torch(attribution: Attribution) -> None:
    program = (
        "import sys, prunescope\n"
        "print(sorted(name for name in ('torch', 'numpy', 'pydantic') if name in sys.modules))\n"
        "missing = set(prunescope.__all__) - set(dir(prunescope))\n"
        f"prunescope.open_attribution({str(attribution.path)!r}).neurons(1)\n"
        "print(missing, sorted(name for name in ('torch', 'transformers', 'pandas') if name in sys.modules))\n"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert done.stdout.splitlines() == ["[]", "set() []"]
    with pytest.raises(AttributeError, match="frobnicate"):
        _ = prunescope.frobnicate


def test_a_model_that_is_named_becomes_a_folder(pruned: PrunedModel) -> None:
    assert (pruned.label, pruned.sparsity, pruned.model) == ("wanda · demo 4x32 · 0.5", 0.5, None)
    assert pruned.folder is not None
    counted = zeros_of(AutoModelForCausalLM.from_pretrained(pruned.folder))
    assert {(each.layer, each.name): each.sparsity for each in pruned.matrices} == counted
    table = pruned.to_pandas()
    assert len(table) == len(counted) == 28 and table["sparsity"].tolist() == [0.5] * 28
    shown = pruned._repr_html_()
    assert shown.count("<tr>") == 1 + 4 and "50.0\N{NO-BREAK SPACE}%" in shown


def test_a_loaded_model_is_pruned_in_place_to_the_same_weights(
    dense: PreTrainedModel, pruned: PrunedModel, tmp_path: Path
) -> None:
    dense.train()
    kept = copy.deepcopy(dense)
    seen: list[Progress] = []
    output = tmp_path / "saved"
    result = prunescope.prune(dense, sparsity=0.5, calibration=CALIBRATION, output=output, on_progress=seen.append)
    assert result.model is dense and dense.training and result.label == pruned.label
    assert not any(module._forward_hooks or module._forward_pre_hooks for module in dense.modules())
    assert [step.done for step in seen if step.stage == "prune"][-1] == 4
    assert pruned.folder is not None
    expected, state = load_file(pruned.folder / "model.safetensors"), dense.state_dict()
    saved = load_file(output / "model.safetensors")
    assert expected.keys() == saved.keys()
    for name, weight in expected.items():
        assert torch.equal(weight, state[name]) and torch.equal(weight, saved[name]), name
    assert not torch.equal(
        kept.state_dict()["model.layers.0.mlp.up_proj.weight"], expected["model.layers.0.mlp.up_proj.weight"]
    )
    again = prunescope.evaluate(output, ["reviews"], limit=4)  # the tokenizer was saved, too
    assert (
        again.tasks["reviews"].accuracy == prunescope.evaluate(result, ["reviews"], limit=4).tasks["reviews"].accuracy
    )


def test_columns_in_another_order_are_saved(dense: PreTrainedModel, tmp_path: Path) -> None:
    method = {"name": "ria", "permutation": "reallocation"}
    named = prunescope.prune("demo", method, pattern="2:4", calibration=CALIBRATION, output=tmp_path / "named")
    loaded = prunescope.prune(dense, method, pattern="2:4", calibration=CALIBRATION, output=tmp_path / "loaded")
    assert any(each.permuted for each in named.matrices) and loaded.matrices == named.matrices
    one, other = (np.load(tmp_path / name / "permutations.npz") for name in ("named", "loaded"))
    assert set(one.files) == set(other.files) and all((one[name] == other[name]).all() for name in one.files)


def test_an_interrupt_passes_and_the_same_call_goes_on(tmp_path: Path) -> None:
    def interrupt(step: Progress) -> None:
        if step.stage == "prune" and step.done == 2:
            raise KeyboardInterrupt

    def fail(step: Progress) -> None:
        if step.stage == "prune" and step.done == 3:
            raise OSError(28, "No space left on device", "somewhere")

    def prune(**options: Any) -> PrunedModel:
        return prunescope.prune("demo", sparsity=0.5, calibration=CALIBRATION, output=tmp_path / "out", **options)

    with pytest.raises(KeyboardInterrupt):
        prune(on_progress=interrupt)
    with pytest.raises(PrunescopeError, match=r"^the disk is full at somewhere.*; finished layers are kept in") as full:
        prune(on_progress=fail)
    assert full.value.problem["code"] == "disk-full"
    assert prune().record["restored"] == 3
    assert [path.name for path in tmp_path.iterdir()] == ["out"]


def test_a_defect_passes_as_it_is(dense: PreTrainedModel) -> None:
    def fail(step: Progress) -> None:
        raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        prunescope.evaluate(dense, ["reviews"], limit=2, on_progress=fail)


def test_named_and_loaded_models_measure_alike(dense: PreTrainedModel) -> None:
    dense.float()  # what a named one is computed in on a CPU
    named, loaded = (prunescope.evaluate(each, ["reviews"], limit=8, perplexity=["demo"]) for each in ("demo", dense))
    assert loaded.tasks == named.tasks and loaded.perplexities == named.perplexities
    task = named.tasks["reviews"]
    assert task.accuracy == sum(row.chosen == row.answer for row in task.examples) / 8
    rows = named.to_pandas().set_index("name")
    assert rows.loc["reviews", "value"] == task.accuracy and rows.loc["reviews", "low"] == task.interval[0]
    assert rows.loc["demo", "value"] == named.perplexities["demo"].perplexity
    shown = named._repr_html_()
    assert f"{100 * task.accuracy:.1f}\N{NO-BREAK SPACE}%" in shown and "perplexity" in shown


def test_named_and_loaded_models_give_the_same_attribution(
    dense: PreTrainedModel, pruned: PrunedModel, attribution: Attribution
) -> None:
    other = AutoModelForCausalLM.from_pretrained(pruned.folder, dtype=torch.float32)
    dense.float()
    found = prunescope.attribute(dense, [other], TEXTS, words=WORDS, permutations=20, tokenizer=tokenizer_of(dense))
    assert np.array_equal(found.scores, attribution.scores, equal_nan=True)
    assert found.variants == {"dense": "model", "pruned-1": "pruned"}
    place = Path(found.path)
    assert place.is_dir()
    del found
    gc.collect()
    assert not place.parent.exists()


def test_models_of_one_name_are_told_apart(dense: PreTrainedModel) -> None:
    halves = [prunescope.prune(copy.deepcopy(dense), "magnitude", sparsity=0.5) for _ in range(2)]
    found = prunescope.attribute(dense, [copy.deepcopy(dense), *halves], TEXTS, words=WORDS, permutations=0)
    assert [*found.variants.values()] == ["model", "model (2)", "magnitude · 0.5", "magnitude · 0.5 (2)"]
    first, copied, half, other = (found.activations(1)[name] for name in found.variants)
    assert np.array_equal(first, copied) and np.array_equal(half, other) and not np.array_equal(first, half)


def test_an_attribution_in_numbers(attribution: Attribution) -> None:
    store = ActivationStore(str(attribution.path))
    assert attribution.words == ("bland", "badly", "lovely") and attribution.layers == (0, 1, 2, 3)
    best = attribution.neurons(1)[0]
    assert best.rank == 1 and best.score == np.nanmax(attribution.scores)
    everything = attribution.to_pandas()
    assert everything["rank"].tolist() == list(range(1, int(np.isfinite(attribution.scores).sum()) + 1))
    assert set(attribution.to_pandas(word="lovely")["word"]) == {"lovely"}
    assert {row.layer for row in attribution.neurons(layer=2)} == {2}
    values = attribution.activations(best.layer, [best.neuron, 0])
    neuron = attribution.neuron(best.layer, best.neuron)
    table = neuron.to_pandas()
    for name in ("dense", "pruned-1"):
        expected = store.neuron(best.layer, best.neuron)[name]
        assert np.array_equal(values[name][0], expected)
        assert np.array_equal(np.concatenate(neuron.activations[name]), expected)
        assert np.array_equal(table[name].to_numpy(), expected)
        assert [len(each) for each in neuron.activations[name]] == [
            span.stop - span.start for span in attribution.spans
        ]
    counted = table[~table["special"]]
    positive = counted["dense"].clip(lower=0)
    assert positive[counted["influential"]].sum() / positive.sum() == pytest.approx(neuron.score, rel=1e-5)
    split = attribution.split("pruned-1")
    assert split is not None and split.top is not None
    assert split.top.own + split.top.upstream == pytest.approx(split.top.drop)
    assert [row.layer for row in split.layers] == list(attribution.layers)
    weights = neuron.changed_weights["pruned-1"]
    assert weights and any(isinstance(writer, HeadWriter) for weight in weights for writer in weight.writers)
    shown = attribution._repr_html_()
    assert shown.count("<tr>") == 11 and f"L{best.layer}/N{best.neuron}" in shown and "2 texts · demo" in shown


def test_without_the_extra_of_the_worker(tmp_path: Path) -> None:
    program = (
        "import sys, prunescope\n"
        "sys.modules['transformers'] = sys.modules['torch'] = None\n"
        "try: prunescope.evaluate('demo', ['reviews'])\n"
        "except prunescope.PrunescopeError as error: print(error)\n"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True, cwd=tmp_path)
    assert done.stdout.strip() == "transformers is not installed: run pip install 'prunescope[worker]'"


def test_tables_need_pandas_and_say_so(pruned: PrunedModel, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "pandas", None)
    with pytest.raises(ImportError, match="pip install pandas"):
        pruned.to_pandas()


def attribute(**changes: Any) -> Callable[[Path], object]:
    given = {"dense": "demo", "pruned": ["."], "texts": TEXTS, "words": WORDS, **changes}
    return lambda folder: prunescope.attribute(**given)


@pytest.mark.parametrize(
    ("call", "said"),
    [
        (lambda at: prunescope.prune("demo", sparsity=1.5, output=at / "x"), "sparsity 1.5 is not in"),
        (lambda at: prunescope.prune("demo", sparsity=0.5, pattern="2:4"), "either sparsity=0.5 or pattern="),
        (lambda at: prunescope.prune("demo", "magnitude", sparsity=0.5), "'demo' is not loaded: name the folder"),
        (lambda at: prunescope.prune("demo", "wandaa", sparsity=0.5, output=at / "x"), "wandaa"),
        (lambda at: prunescope.prune("demo", sparsity=0.5, output=at / "x"), "wanda needs a calibration set"),
        (lambda at: prunescope.prune("demo", sparsity=0.5, output=at), "choose another output"),
        (lambda at: prunescope.prune(at, "magnitude", sparsity=0.5, output=at / "a" / "b"), "lies in the model's"),
        (lambda at: prunescope.prune(3, sparsity=0.5), "int is not a model"),  # type: ignore[arg-type]
        (lambda at: prunescope.evaluate("demo", ["sst3"]), "did you mean 'sst2'"),
        (lambda at: prunescope.evaluate("demo", ["reviews"], device="tpu"), "^device: device 'tpu' is unknown"),
        (lambda at: prunescope.evaluate("no/such/model", ["reviews"]), "no such folder"),
        (lambda at: prunescope.evaluate("demo"), "at least one task, or perplexity"),
        (attribute(words=["bland"]), "give a list of words for each text"),
        (attribute(words=[["bland"]]), "1 lists are given for 2 texts"),
        (attribute(words=[["sweet"], []]), "'sweet' is not in the text"),
        (attribute(pruned=[]), "pruned"),
        (lambda at: prunescope.open_attribution(at / "nothing"), "there is no attribution"),
        (lambda at: prunescope.open_attribution(at), "there is no attribution"),
    ],
)
def test_what_cannot_be_done_is_said_in_one_line(tmp_path: Path, call: Callable[[Path], object], said: str) -> None:
    (tmp_path / "something").write_text("")
    with pytest.raises(PrunescopeError, match=said) as refused:
        call(tmp_path)
    assert "\n" not in str(refused.value)
    assert [path.name for path in tmp_path.iterdir()] == ["something"]


def test_what_an_attribution_does_not_have(attribution: Attribution) -> None:
    neuron = attribution.neuron(0, 0)
    for call, said in (
        (lambda: attribution.neuron(9, 0), "layers are 0 to 3"),
        (lambda: attribution.activations(0, [-1]), "the neurons of a layer are 0 to"),
        (lambda: attribution.neurons(variant="pruned-7"), "pruned-7"),
        (lambda: neuron.export("svg", example=7), "example: '7' is not known"),
        (lambda: neuron.export("gif"), "gif"),  # type: ignore[arg-type]
    ):
        with pytest.raises(PrunescopeError, match=said):
            call()


def test_loaded_models_that_cannot_be_taken(dense: PreTrainedModel) -> None:
    with pytest.raises(PrunescopeError, match="the same object"):
        prunescope.attribute(dense, [dense], TEXTS, words=WORDS)
    encoder = T5ForConditionalGeneration(
        T5Config(vocab_size=64, d_model=16, d_kv=4, d_ff=16, num_layers=1, num_heads=2)
    )
    with pytest.raises(PrunescopeError, match="has an encoder beside its decoder"):
        prunescope.prune(encoder, "magnitude", sparsity=0.5)
    with torch.device("meta"):
        nowhere = AutoModelForCausalLM.from_config(dense.config)
    with pytest.raises(PrunescopeError, match="its weights lie on meta"):
        prunescope.prune(nowhere, "magnitude", sparsity=0.5)
    dense.config.name_or_path = ""
    with pytest.raises(PrunescopeError, match="has no tokenizer"):
        prunescope.evaluate(dense, ["reviews"], limit=2)
