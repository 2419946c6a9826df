"""Own and upstream parts against brute force: models that are run with exchanged weights and inputs."""

from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn

from prunescope.lm.architecture import decoder_layers, down_projection, linears, up_projections, weight_view
from prunescope.lm.hooks import change_inputs, record_inputs
from prunescope.nsa import scoring
from prunescope.nsa.examples import Positions
from prunescope.nsa.split import changes
from prunescope.nsa.split.changes import Block, Marks, Side, split, split_block
from prunescope.nsa.split.form import find_form
from tests.models import NEURONS, tiny

IDS = torch.tensor([[0, 40, 41, 42, 43, 60, 61, 62, 63]])
TOKENS = IDS.shape[1]
CPU = torch.device("cpu")
# Gated; biases and no gate; transposed weights; parallel attention; gate and up in one matrix.
FAMILIES = ["llama", "opt", "gpt2", "gpt_neox", "phi3"]
POSITIONS = Positions(
    text=np.zeros(TOKENS, dtype=int),
    special=np.arange(TOKENS) == 0,
    influential=np.isin(np.arange(TOKENS), [2, 3, 6]),
    words={"bad": np.array([2, 6]), "kind": np.array([3])},
)


def pruned(family: str, amount: float = 0.5) -> nn.Module:
    model = tiny(family)
    for layer in decoder_layers(model):
        for module in linears(layer).values():
            weight = weight_view(module)
            weight[weight.abs() <= weight.abs().flatten().quantile(amount)] = 0
    return model


def run(model: nn.Module, layer: int, inputs: torch.Tensor | None = None) -> tuple[torch.Tensor, torch.Tensor]:
    """The MLP inputs [tokens, hidden] and the activations [neurons, tokens] of a layer; with `inputs`, the activations
    that the layer has on these."""
    module = decoder_layers(model)[layer]
    firsts = dict(enumerate(up_projections(module).values()))
    found: dict[Any, torch.Tensor] = {}
    modules = {"inputs": firsts[0], "activations": down_projection(module)}
    given_inputs = {} if inputs is None else firsts

    def exchanged(_key: int, own: torch.Tensor) -> torch.Tensor:
        assert inputs is not None
        return inputs.reshape(own.shape)

    with (
        torch.no_grad(),
        record_inputs(modules, lambda key, values: found.__setitem__(key, values.reshape(TOKENS, -1))),
        change_inputs(given_inputs, exchanged),
    ):
        model(IDS)
    return found["inputs"], found["activations"].T


def parts(
    family: str, layer: int, activation: str = "relu", *, recorded: bool = False
) -> tuple[Block, list[torch.Tensor]]:
    """The split of all neurons of a layer, and f(W, x), f(W, x'), f(W', x), f(W', x') by brute force. `recorded`: from
    recorded activations, rounded to float16."""
    dense, other = tiny(family), pruned(family)
    (x, before), (x_pruned, after) = run(dense, layer), run(other, layer)
    form = find_form(decoder_layers(dense)[layer], x, before)
    assert form is not None
    sides = [
        Side(decoder_layers(model)[layer], torch.float32, lambda some, inputs=inputs: inputs[some].numpy())
        for model, inputs in ((dense, x), (other, x_pruned))
    ]
    stored = (before.half().numpy(), after.half().numpy()) if recorded else None
    found = split_block(
        form, sides[0], sides[1], slice(0, NEURONS), Marks.of(POSITIONS), scoring.transform(activation), CPU, stored
    )
    return found, [before, run(dense, layer, x_pruned)[1], run(other, layer, x)[1], after]


@pytest.mark.parametrize("family", FAMILIES)
@pytest.mark.parametrize("activation", ["relu", "abs", "raw"])
@pytest.mark.parametrize("recorded", [False, True])
def test_parts_equal_brute_force(family: str, activation: str, recorded: bool) -> None:
    for layer in range(2):
        found, (f00, f01, f10, f11) = parts(family, layer, activation, recorded=recorded)
        own = (f11 - f01 + f10 - f00) / 2
        # Half of the rounding errors of f(W, x) and f(W', x') in float16.
        rounding = float(max(f00.abs().max(), f11.abs().max())) * 2**-11 if recorded else 0.0
        np.testing.assert_allclose(found.own, own, rtol=2e-3, atol=1e-5 + rounding)
        delta, counted = (f11 - f00)[:, 1:], own[:, 1:]
        assert found.square == pytest.approx(float((delta**2).sum()), rel=1e-3 if recorded else 1e-4)
        assert found.product == pytest.approx(float((delta * counted).sum()), rel=1e-3 if recorded else 1e-4)
        change = scoring.transform(activation)
        a00, a01, a10, a11 = (change(each) for each in (f00, f01, f10, f11))
        of_a = (a11 - a01 + a10 - a00) / 2
        for column, places in enumerate(POSITIONS.words.values()):
            mean = of_a[:, places].mean(1)
            np.testing.assert_allclose(
                found.words[0, :, column], a00[:, places].mean(1), rtol=1e-3, atol=1e-5 + rounding
            )
            rest = (a11 - a00)[:, places].mean(1) - mean
            np.testing.assert_allclose(found.words[1, :, column], mean, rtol=1e-3, atol=1e-5 + rounding)
            np.testing.assert_allclose(found.words[2, :, column], rest, rtol=1e-3, atol=1e-5 + rounding)


@pytest.mark.parametrize("recorded", [False, True])
def test_pieces_do_not_change_the_parts(recorded: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    whole, _ = parts("llama", 1, recorded=recorded)
    monkeypatch.setattr(changes, "MAX_WEIGHTS", 5 * 32)
    monkeypatch.setattr(changes, "MAX_PAIRS", 4 * 32)
    found, _ = parts("llama", 1, recorded=recorded)
    for name in ("own", "words"):
        np.testing.assert_allclose(getattr(found, name), getattr(whole, name), rtol=1e-3, atol=1e-6)
    assert found.product == pytest.approx(whole.product)


@pytest.mark.parametrize("recorded", [False, True])
def test_unchanged_weights_have_no_own_part(recorded: bool) -> None:
    model = tiny("llama")
    x, before = run(model, 0)
    form = find_form(decoder_layers(model)[0], x, before)
    assert form is not None
    side = Side(decoder_layers(model)[0], torch.float32, lambda some: x[some].numpy())
    other = replace(side, inputs=lambda some: 1.5 * x[some].numpy())
    stored = (before.half().numpy(), run(model, 0, 1.5 * x)[1].half().numpy()) if recorded else None
    marks, change = Marks.of(POSITIONS), scoring.transform("raw")
    found = split_block(form, side, other, slice(0, NEURONS), marks, change, CPU, stored)
    assert not found.own.any() and not found.words[1].any()
    assert found.words[2].any() and found.square > 0 == found.product


numbers = st.floats(-1e3, 1e3, width=32)


@given(st.lists(st.tuples(numbers, numbers, numbers, numbers), min_size=1, max_size=5))
@settings(deadline=None)
def test_the_parts_add_up_and_neither_order_is_favoured(rows: list[tuple[float, ...]]) -> None:
    f00, f01, f10, f11 = torch.tensor(rows, dtype=torch.float64).T
    found = split(f00, f01, f10, f11)
    torch.testing.assert_close(found.own + found.upstream, f11 - f00)
    exchanged = split(f00, f10, f01, f11)  # weights in place of inputs
    torch.testing.assert_close(exchanged.own, found.upstream)


def test_a_neuron_without_changed_weights_beside_others() -> None:
    """A neuron of which one bias differs has an own part; one of which nothing differs has none."""
    models = tiny("opt"), tiny("opt")
    layers = [decoder_layers(model)[0] for model in models]
    (first,) = up_projections(layers[1]).values()
    first.bias[3] += 1
    x, before = run(models[0], 0)
    x_pruned = 1.5 * x
    after = run(models[1], 0, x_pruned)[1]
    form = find_form(layers[0], x, before)
    assert form is not None
    sides = [
        Side(layer, torch.float32, lambda some, inputs=inputs: inputs[some].numpy())
        for layer, inputs in zip(layers, (x, x_pruned), strict=True)
    ]
    stored = before.half().numpy(), after.half().numpy()
    marks, change = Marks.of(POSITIONS), scoring.transform("raw")
    found = split_block(form, sides[0], sides[1], slice(0, NEURONS), marks, change, CPU, stored)
    assert np.flatnonzero(found.own.any(1)).tolist() == [3]


@pytest.mark.parametrize("recorded", [False, True])
def test_unchanged_inputs_have_no_upstream_part(recorded: bool) -> None:
    """At tokens whose input is the same in both models the change is the own part, exactly."""
    layers = [decoder_layers(model)[0] for model in (tiny("llama"), pruned("llama"))]
    x, before = run(tiny("llama"), 0)
    x_pruned = x.clone()
    x_pruned[4:] *= 1.5
    after = run(pruned("llama"), 0, x_pruned)[1]
    form = find_form(layers[0], x, before)
    assert form is not None
    sides = [
        Side(layer, torch.float32, lambda some, inputs=inputs: inputs[some].numpy())
        for layer, inputs in zip(layers, (x, x_pruned), strict=True)
    ]
    stored = (before.half().numpy(), after.half().numpy()) if recorded else None
    marks, change = Marks.of(POSITIONS), scoring.transform("raw")
    found = split_block(form, sides[0], sides[1], slice(0, NEURONS), marks, change, CPU, stored)
    kind = list(POSITIONS.words).index("kind")  # at token 3
    assert found.words[1, :, kind].any() and not found.words[2, :, kind].any()
    assert found.words[2, :, 1 - kind].any()  # tokens 2 and 6
