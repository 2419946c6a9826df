"""Changed weights and writers against sums over all weights and neurons."""

from collections.abc import Iterator

import numpy as np
import pytest
import torch

from prunescope.lm.architecture import decoder_layers, down_projection, weight_view
from prunescope.nsa.split import sources
from prunescope.nsa.split.changes import Side
from prunescope.nsa.split.form import parts_of
from prunescope.nsa.split.sources import WEIGHTS, WRITERS, changed_weights, mean_inputs, writers
from tests.models import NEURONS, tiny
from tests.nsa.split.test_changes import CPU, FAMILIES, TOKENS, pruned, run

INFLUENTIAL = np.array([2, 3, 6])


@pytest.mark.parametrize("family", FAMILIES)
def test_the_largest_contributions(family: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sources, "MAX_WEIGHTS", 10 * 32)
    models = tiny(family), pruned(family)
    inputs = run(models[1], 1)[0]
    sides = [Side(decoder_layers(model)[1], torch.float32, lambda some: inputs[some].numpy()) for model in models]
    mean = mean_inputs(sides[1], INFLUENTIAL)
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
    """The only function of an archive that `writers` uses."""

    def __init__(self, activations: np.ndarray) -> None:
        self.activations = activations

    def rows(self, variant: str, layer: int, neurons: np.ndarray, tokens: np.ndarray) -> np.ndarray:
        assert variant == "dense"
        return self.activations[layer][neurons][:, tokens]


@pytest.fixture
def recorded() -> Iterator[Recorded]:
    yield Recorded(np.random.default_rng(0).normal(size=(2, NEURONS, TOKENS)).astype(np.float16))


@pytest.mark.parametrize("family", FAMILIES)
def test_writers_are_the_neurons_of_lower_layers(
    family: str, recorded: Recorded, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sources, "MAX_VALUES", 2 * NEURONS)
    model = tiny(family)
    found = writers(model, [0, 1], recorded, "dense", INFLUENTIAL)  # type: ignore[arg-type]
    assert found is not None
    best, sizes = found
    assert (best[0] == -1).all() and np.isnan(sizes[0]).all()
    mean = recorded.activations[0][:, INFLUENTIAL].astype(np.float64).mean(1)
    written = weight_view(down_projection(decoder_layers(model)[0])).numpy() * mean
    for dimension, expected in enumerate(written):
        order = np.argsort(-np.abs(expected))[:WRITERS]
        assert best[1, dimension].tolist() == order.tolist()
        np.testing.assert_allclose(sizes[1, dimension], expected[order], rtol=1e-4)
