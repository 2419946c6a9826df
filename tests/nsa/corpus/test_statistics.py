"""Running statistics of a layer against all activations in memory, on random batches with ties and left-out tokens."""

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from prunescope.nsa.corpus import statistics
from prunescope.nsa.corpus.statistics import NONE, Counted, LayerStatistics
from tests.nsa.corpus.plain import best_examples

MOST = 3


@given(st.integers(0, 10_000), st.integers(1, 4), st.booleans(), st.booleans(), st.integers(0, 1))
def test_statistics_are_those_of_all_activations(
    seed: int, batches: int, masked: bool, coarse: bool, start: int
) -> None:
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
        mask[:, :start] = False
        if masked:
            mask &= random.random((windows, tokens)) < 0.7
            mask[:, -1] |= ~mask.any(1)
        numbers = np.arange(len(values), len(values) + windows)
        state.add(torch.from_numpy(drawn), Counted.of(mask, numbers, torch.device("cpu")))
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


def test_a_window_of_several_pieces(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(statistics, "MAX_PIECE_BYTES", 64 * 4 * 4)  # 64 tokens
    random = np.random.default_rng(0)
    values = random.normal(size=(3, 197, 4)).astype(np.float32)
    values[1, 135] = values[1, 70] = 9.0  # of equal activations, the first position counts
    mask = np.ones(values.shape[:2], dtype=bool)
    mask[:, 0], mask[1, 5], mask[2] = False, False, False
    state = LayerStatistics(2, 4, torch.device("cpu"))
    state.add(torch.from_numpy(values), Counted.of(mask, np.array([4, 7, 9]), torch.device("cpu")))
    inside = values[mask].astype(np.float64)
    np.testing.assert_allclose(state.mean, inside.mean(0), atol=1e-6)
    np.testing.assert_allclose(state.density, (inside > 0).mean(0))
    for extremes, sign in ((state.highest, 1), (state.lowest, -1)):
        for neuron in range(4):
            expected = best_examples(list(values), list(mask), [0, 1, 2], neuron, 2, sign)
            found = [
                (
                    float(extremes.values[place, neuron]),
                    {4: 0, 7: 1}[int(window)],
                    int(extremes.positions[place, neuron]),
                )
                for place, window in enumerate(extremes.windows[:, neuron])
            ]
            assert found == expected
    assert state.highest.positions[0].tolist() == [70] * 4


def test_a_batch_without_counted_tokens_changes_nothing() -> None:
    state = LayerStatistics(1, 2, torch.device("cpu"))
    places = Counted.of(np.array([[False, True]]), np.array([0]), torch.device("cpu"))
    state.add(torch.tensor([[[5.0, 5.0], [1.0, -1.0]]]), places)
    state.add(torch.full((1, 2, 2), 7.0), Counted.of(np.zeros((1, 2), dtype=bool), np.array([1]), torch.device("cpu")))
    assert state.mean.tolist() == [1.0, -1.0] and state.density.tolist() == [1.0, 0.0]
    assert state.highest.windows.tolist() == [[0, NONE]]


def test_a_neuron_that_is_not_finite_is_named() -> None:
    state = LayerStatistics(1, 3, torch.device("cpu"))
    values = torch.zeros(1, 4, 3)
    values[0, 2, 1] = torch.nan
    state.add(values, Counted.of(np.ones((1, 4), dtype=bool), np.array([0]), torch.device("cpu")))
    assert not bool(state.finite)
    assert state.first_not_finite() == 1
