"""Changed weights and writers against sums over all weights, and against each neuron and head alone."""

from functools import partial

import numpy as np
import pytest
import torch
from torch import nn

from prunescope.lm.architecture import decoder_layers, down_projection
from prunescope.lm.hooks import record_inputs
from prunescope.nsa.recording import record
from prunescope.nsa.split import sources
from prunescope.nsa.split.changes import Side
from prunescope.nsa.split.form import parts_of
from prunescope.nsa.split.heads import Heads, attention_of, heads_of, spool_influential
from prunescope.nsa.split.sources import WEIGHTS, WRITERS, changed_weights, mean_inputs, writers
from tests.models import NEURONS, tiny
from tests.nsa.split.test_changes import CPU, FAMILIES, IDS, TOKENS, pruned, run

INFLUENTIAL = np.array([2, 3, 6])


@pytest.mark.parametrize("family", FAMILIES)
def test_the_largest_contributions(family: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sources, "MAX_WEIGHTS", 10 * 32)
    models = tiny(family), pruned(family)
    inputs = run(models[1], 1)[0]
    sides = [Side(decoder_layers(model)[1], torch.float32, lambda some: inputs[some].numpy()) for model in models]
    mean = mean_inputs(sides[1].inputs, INFLUENTIAL)
    np.testing.assert_allclose(mean, inputs[INFLUENTIAL].mean(0), rtol=1e-5, atol=1e-7)
    found = changed_weights(sides[0], sides[1], NEURONS, mean, CPU)
    assert found.shape == (NEURONS, 2 * WEIGHTS)

    every = slice(0, NEURONS)
    parts = [parts_of(side.layer, every, CPU, torch.float32) for side in sides]
    moved = np.concatenate(
        [((after - before).numpy() * mean) for (before, _), (after, _) in zip(*parts, strict=True)], axis=1
    )
    for row, expected in zip(found, moved, strict=True):
        places, sizes = np.split(row, 2)
        order = np.argsort(-np.abs(expected))[:WEIGHTS]
        np.testing.assert_allclose(np.abs(sizes), np.abs(expected[order]), rtol=1e-5)
        np.testing.assert_allclose(expected[places.astype(int)], sizes, rtol=1e-5)
    # All contributions of a matrix are the own part of the change of its pre-activation.
    own = (parts[1][0][0] - parts[0][0][0]) @ inputs[INFLUENTIAL].T
    np.testing.assert_allclose(moved[:, : len(mean)].sum(1), own.mean(1), rtol=1e-3, atol=1e-5)


def test_unchanged_weights_contribute_nothing() -> None:
    side = Side(decoder_layers(tiny("llama"))[0], torch.float32, lambda some: np.ones((1, 32), np.float32))
    assert np.isnan(changed_weights(side, side, NEURONS, np.ones(32), CPU)).all()


class Recorded:
    """The functions of an archive that `writers` uses, over what a model computes for the tokens of `IDS`."""

    def __init__(self, model: nn.Module, heads: Heads | None) -> None:
        layers = decoder_layers(model)
        self.activations: dict[int, np.ndarray] = {}
        self.attention: dict[int, np.ndarray] = {}
        neurons = {layer: down_projection(module) for layer, module in enumerate(layers)}
        with (
            torch.no_grad(),
            record_inputs(neurons, lambda layer, seen: self._add(self.activations, layer, seen)),
            record_inputs(
                dict(enumerate(heads.outputs if heads else ())),
                lambda layer, seen: self._add(self.attention, layer, seen),
            ),
        ):
            model(IDS)

    @staticmethod
    def _add(found: dict[int, np.ndarray], layer: int, seen: torch.Tensor) -> None:
        found[layer] = seen.reshape(TOKENS, -1).numpy().copy()

    def rows(self, variant: str, layer: int, neurons: np.ndarray, tokens: np.ndarray) -> np.ndarray:
        assert variant == "dense"
        return self.activations[layer][np.ix_(tokens, neurons)].T.astype(np.float16)

    def spooled(self, name: str, layer: int, tokens: slice) -> np.ndarray:
        assert name == attention_of("dense")
        return self.attention[layer][tokens]


def output(module: nn.Module, inputs: np.ndarray) -> np.ndarray:
    """What a linear writes for some inputs, without its bias."""
    zero = torch.zeros(inputs.shape)
    with torch.no_grad():
        return (module(torch.from_numpy(inputs)) - module(zero)).numpy()


def written(model: nn.Module, heads: Heads | None, reader: int) -> dict[int, np.ndarray]:
    """Number of every writer below the MLP of the layer `reader` -> what it writes [hidden], from the outputs of the
    matrices for inputs that are zero except for this writer."""
    layers, recorded = decoder_layers(model), Recorded(model, heads)
    found = {}
    for layer in range(reader + 1):
        if heads and (layer < reader or heads.before_mlp[layer]):
            for head in range(heads.count):
                inputs = recorded.attention[layer][INFLUENTIAL]
                width = inputs.shape[1] // heads.count
                alone = np.zeros_like(inputs)
                alone[:, head * width : (head + 1) * width] = inputs[:, head * width : (head + 1) * width]
                number = len(layers) * NEURONS + layer * heads.count + head
                found[number] = output(heads.outputs[layer], alone).mean(0)
        for neuron in range(NEURONS if layer < reader else 0):
            inputs = recorded.activations[layer][INFLUENTIAL]
            alone = np.zeros_like(inputs)
            alone[:, neuron] = inputs[:, neuron]
            found[layer * NEURONS + neuron] = output(down_projection(layers[layer]), alone).mean(0)
    return found


@pytest.mark.parametrize("with_heads", [True, False])
@pytest.mark.parametrize("family", FAMILIES)
def test_writers_against_each_writer_alone(family: str, with_heads: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sources, "MAX_VALUES", 2 * NEURONS)
    model = tiny(family)
    heads = heads_of(model) if with_heads else None
    assert (heads is not None) == with_heads
    found = writers(model, [0, 1], Recorded(model, heads), "dense", INFLUENTIAL, heads)  # type: ignore[arg-type]
    assert found is not None
    best, sizes = found
    kinds = set()
    for reader in range(2):
        every = written(model, heads, reader)
        for dimension in range(best.shape[1]):
            expected = {number: float(sizes[dimension]) for number, sizes in every.items()}
            known = best[reader, dimension] >= 0
            numbers, values = best[reader, dimension][known].tolist(), sizes[reader, dimension][known]
            assert len(numbers) == min(WRITERS, len(expected)) and len(set(numbers)) == len(numbers)
            np.testing.assert_allclose(values, [expected[number] for number in numbers], rtol=2e-3, atol=1e-5)
            largest = sorted((abs(size) for size in expected.values()), reverse=True)[:WRITERS]
            np.testing.assert_allclose(np.abs(values), largest, rtol=2e-3, atol=1e-5)
            assert np.isnan(sizes[reader, dimension][~known]).all()
            kinds |= {number >= 2 * NEURONS for number in numbers}
    assert kinds == ({True, False} if with_heads else {False})


def test_what_is_spooled_holds_the_influential_tokens_of_recorded_layers() -> None:
    model = tiny("llama")
    heads = heads_of(model)
    assert heads is not None
    kept: dict[tuple[int, int], np.ndarray] = {}

    class Archive:
        def spool(self, name: str, layer: int, start: int, values: np.ndarray) -> None:
            assert name == "attention/dense"
            kept.update({(layer, start + place): each for place, each in enumerate(values)})

    texts = [IDS[0, :4].tolist(), IDS[0, 4:8].tolist(), IDS[0, 8:].tolist()]
    influential = np.isin(np.arange(TOKENS), INFLUENTIAL)
    receive = partial(spool_influential, Archive(), attention_of("dense"), influential)
    record(model, texts, lambda *_: None, layers=[1], attention=heads.outputs, receive_attention=receive)  # type: ignore[arg-type]
    assert sorted(kept) == [(1, place) for place in INFLUENTIAL]
    seen: list[torch.Tensor] = []
    with torch.no_grad(), record_inputs({0: heads.outputs[1]}, lambda _key, values: seen.append(values[0])):
        for ids in texts:
            model(torch.tensor([ids]))
    for (_, place), values in kept.items():
        np.testing.assert_allclose(values, torch.cat(seen)[place], rtol=1e-4, atol=1e-6)


def test_a_model_whose_attention_is_unknown_has_no_heads() -> None:
    model = tiny("llama")
    model.config.num_attention_heads = 5  # 32 input features are not five heads
    assert heads_of(model) is None
