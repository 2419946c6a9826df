"""Pruning with a keeper: the same weights, the original storage unchanged, and resuming from any layer."""

import copy
from dataclasses import dataclass, field, replace

import pytest
import torch

from prunescope.lm.architecture import decoder_layers, linears, weight_view
from prunescope.lm.hooks import record_inputs
from prunescope.pruning.allocation import OWL
from prunescope.pruning.keeper import Plan
from prunescope.pruning.methods import METHODS
from prunescope.pruning.methods.protocol import Calibrated, Decision
from prunescope.pruning.patterns import NofM, Unstructured
from prunescope.pruning.reports import LayerReport
from prunescope.pruning.statistics import InputNorms
from prunescope.pruning.walk import prune
from tests.models import FAMILIES, tiny
from tests.pruning.test_walk import WINDOWS


@dataclass
class Shelf:
    """A keeper in memory."""

    planned: Plan | None = None
    kept: dict[int, tuple[dict[str, torch.Tensor], LayerReport]] = field(default_factory=dict)

    def plan(self):
        return self.planned

    def begin(self, plan):
        self.planned, self.kept = plan, {}

    def restore(self, index, layer):
        if index not in self.kept:
            return None
        weights, report = self.kept[index]
        layer.load_state_dict(weights, assign=True)
        return report

    def keep(self, index, layer, report):
        assert index not in self.kept and not report.restored
        assert all(tensor.device.type == "cpu" for tensor in layer.state_dict().values())
        self.kept[index] = copy.deepcopy(dict(layer.state_dict())), report

    def first(self, layers):
        """What a run that was killed after so many layers had kept."""
        return Shelf(self.planned, {index: kept for index, kept in self.kept.items() if index < layers})


def pruned_in_place(family, method, pattern, dtype=torch.float32, computed_in=None, **more):
    model = tiny(family).to(dtype)
    return model, prune(model, method, pattern, WINDOWS, dtype=computed_in, **more)


def same(weights, layer):
    state = layer.state_dict()
    assert weights.keys() == state.keys()
    return all(weights[name].dtype == state[name].dtype and torch.equal(weights[name], state[name]) for name in weights)


@pytest.mark.parametrize("dtype", [torch.float32, torch.float16], ids=str)
@pytest.mark.parametrize("method", ["magnitude", "wanda", "sparsegpt"])
@pytest.mark.parametrize("family", FAMILIES)
def test_layers_are_kept_as_they_are_pruned_in_place(family, method, dtype):
    expected, reports = pruned_in_place(family, method, Unstructured(0.5), dtype, torch.float32, batch=2)
    model, shelf = tiny(family).to(dtype), Shelf()
    before = {name: (tensor, tensor.clone()) for name, tensor in model.state_dict().items()}
    found = prune(model, method, Unstructured(0.5), WINDOWS, dtype=torch.float32, batch=2, keeper=shelf)
    for index, layer in enumerate(decoder_layers(expected)):
        assert same(shelf.kept[index][0], layer)
    assert [replace(one, seconds=0, stages={}) for one in found] == [
        replace(one, seconds=0, stages={}) for one in reports
    ]
    # Nothing was written where the weights came from, and the model holds no layer any more.
    assert all(torch.equal(tensor, copied) for tensor, copied in before.values())
    assert {parameter.device.type for layer in decoder_layers(model) for parameter in layer.parameters()} == {"meta"}
    assert model.get_input_embeddings().weight.device.type == "cpu"
    assert all(parameter.dtype == dtype for parameter in model.parameters())


@pytest.mark.parametrize("allocation", [None, OWL(outlier=2.0, range=0.2)], ids=["uniform", "owl"])
@pytest.mark.parametrize("method", ["magnitude", "wanda", "sparsegpt"])
@pytest.mark.parametrize("layers", [0, 1, 2])
def test_going_on_after_any_layer_gives_the_same_bits(layers, method, allocation):
    more = {"dtype": torch.float32} | ({"allocation": allocation} if allocation else {})
    whole = Shelf()
    prune(tiny("llama").half(), method, Unstructured(0.5), WINDOWS, keeper=whole, batch=2, **more)
    shelf = whole.first(layers)
    # Without a batch of its own: the plan's is taken.
    reports = prune(tiny("llama").half(), method, Unstructured(0.5), WINDOWS, keeper=shelf, **more)
    assert [report.restored for report in reports] == [True] * layers + [False] * (2 - layers)
    assert [report.matrices for report in reports] == [whole.kept[index][1].matrices for index in range(2)]
    for index in range(2):
        weights, report = shelf.kept[index]
        assert all(torch.equal(weights[name], tensor) for name, tensor in whole.kept[index][0].items())
        assert report.batch == (None if method == "magnitude" else 2)


def test_a_layer_that_fails_is_not_kept():
    model, shelf = tiny("llama"), Shelf()
    weight_view(next(iter(linears(decoder_layers(model)[1]).values())))[0, 0] = float("nan")
    with pytest.raises(ValueError, match="layer 1 self_attn"):
        prune(model, "wanda", Unstructured(0.5), WINDOWS, keeper=shelf)
    assert list(shelf.kept) == [0]
    assert {parameter.device.type for parameter in decoder_layers(model)[1].parameters()} == {"cpu"}


@dataclass(frozen=True)
class Thirds(Calibrated[InputNorms]):
    """Keeps the stronger half and divides it by three, which no half-precision number survives unrounded."""

    def statistics(self, columns, device):
        return InputNorms(columns, device)

    def decide(self, weights, statistics, pattern):
        scores = [weight.abs() * statistics.norms() for weight in weights]
        return [Decision(score > score.median(), weight / 3) for score, weight in zip(scores, weights, strict=True)]


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16], ids=str)
def test_later_layers_see_the_weights_as_they_are_saved(dtype, monkeypatch):
    """The second layer's inputs come from a first one in the type it is stored in, not from what was decided."""
    monkeypatch.setitem(METHODS, "thirds", Thirds)
    shelf = Shelf()
    prune(tiny("llama").to(dtype), "thirds", Unstructured(0.5), WINDOWS, dtype=torch.float32, keeper=shelf)
    model = tiny("llama").to(dtype)
    first, second = decoder_layers(model)
    first.load_state_dict(shelf.kept[0][0])
    model.float()
    norms = InputNorms(32, torch.device("cpu"))
    query = linears(second)["self_attn.q_proj"]
    with record_inputs({0: query}, lambda _, inputs: norms.add(inputs, len(WINDOWS))):
        model(WINDOWS)
    (decision,) = Thirds().decide([weight_view(query)], norms, Unstructured(0.4))
    saved = shelf.kept[1][0]["self_attn.q_proj.weight"]
    assert saved.dtype == dtype and torch.equal(saved, (decision.updated * decision.keep).to(dtype))


def test_weights_that_stay_keep_their_digits_when_computed_in_a_narrower_type():
    model, dense, shelf = tiny("llama"), tiny("llama"), Shelf()
    prune(model, "wanda", NofM(2, 4), WINDOWS, dtype=torch.bfloat16, keeper=shelf)
    for index, layer in enumerate(decoder_layers(dense)):
        for name, tensor in layer.state_dict().items():
            kept = shelf.kept[index][0][name]
            assert kept.dtype == torch.float32
            assert torch.equal(kept, torch.where(kept == 0, 0, tensor))
