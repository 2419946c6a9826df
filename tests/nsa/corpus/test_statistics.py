"""Running statistics of a layer against all activations in memory, on random batches with ties and left-out tokens."""

import numpy as np
import torch
from hypothesis import given
from hypothesis import strategies as st

from prunescope.nsa.corpus.statistics import NONE, Batch, LayerStatistics
from tests.nsa.corpus.plain import best_examples

MOST = 3


@given(st.integers(0, 10_000), st.integers(1, 4), st.booleans(), st.booleans())
def test_statistics_are_those_of_all_activations(seed: int, batches: int, masked: bool, coarse: bool) -> None:
    random = np.random.default_rng(seed)
    neurons, state = 5, LayerStatistics(MOST, 5, torch.device("cpu"))
    values: list[np.ndarray] = []
    counted: list[np.ndarray] = []
    for _ in range(batches):
        windows, tokens = int(random.integers(1, 4)), int(random.integers(2, 7))
        drawn = random.normal(size=(windows, tokens, neurons)).astype(np.float32)
        if coarse:  # many ties, zeros among them
            drawn = np.round(drawn)
        mask = np.ones((windows, tokens), dtype=bool)
        mask[:, 0] = False
        if masked:
            mask &= random.random((windows, tokens)) < 0.7
            mask[:, -1] |= ~mask.any(1)
        numbers = torch.arange(len(values), len(values) + windows)
        state.add(Batch(torch.from_numpy(drawn), torch.from_numpy(mask) if masked else None, numbers))
        values += list(drawn)
        counted += list(mask)
    inside = np.concatenate([one[mask] for one, mask in zip(values, counted, strict=True)]).astype(np.float64)
    np.testing.assert_allclose(state.mean, inside.mean(0), atol=1e-6)
    # Squares are rounded to float32, so a deviation below 0.0005 of the mean is rounding.
    np.testing.assert_allclose(state.deviation, inside.std(0), atol=5e-4 * float(np.abs(inside).max()) + 1e-6)
    np.testing.assert_array_equal(state.maximum, inside.max(0))
    np.testing.assert_array_equal(state.minimum, inside.min(0))
    np.testing.assert_allclose(state.density, (inside > 0).mean(0))
    assert bool(state.finite)
    for extremes, sign in ((state.highest, 1), (state.lowest, -1)):
        for neuron in range(neurons):
            expected = best_examples(values, counted, list(range(len(values))), neuron, MOST, sign)
            found = [
                (float(extremes.values[place, neuron]), int(window), int(extremes.positions[place, neuron]))
                for place, window in enumerate(extremes.windows[:, neuron])
                if window != NONE
            ]
            assert found == expected
            assert not extremes.values[len(expected) :, neuron].any()


def test_a_long_window_does_not_overflow_the_byte_sums() -> None:
    state = LayerStatistics(1, 2, torch.device("cpu"))
    values = torch.ones(2, 700, 2)
    values[:, :, 1] = -1
    state.add(Batch(values, None, torch.arange(2)))
    assert state.density.tolist() == [1.0, 0.0]


def test_a_neuron_that_is_not_finite_is_named() -> None:
    state = LayerStatistics(1, 3, torch.device("cpu"))
    values = torch.zeros(1, 4, 3)
    values[0, 2, 1] = torch.nan
    state.add(Batch(values, None, torch.arange(1)))
    assert not bool(state.finite)
    assert state.first_not_finite() == 1
