"""Pooled drops and their intervals against plain loops over the resamples."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from prunescope.nsa.bootstrap import RESAMPLES, Group, drop_bounds, drops, pooled_drop, resampling_weights


def test_a_drop_is_undefined_where_the_dense_model_was_silent() -> None:
    found = drops(np.array([0.2112, 0.0, -1.0, 2.0]), np.array([0.0084, 1.0, 0.0, 3.0]))
    assert found[0] == pytest.approx(1 - 0.0084 / 0.2112)
    assert np.isnan(found[1:3]).all()
    assert found[3] == -0.5


def test_a_resample_draws_as_many_texts_as_there_are() -> None:
    weights = resampling_weights(7, 3)
    assert weights.shape == (RESAMPLES + 1, 7)
    assert (weights[0] == 1).all()
    assert (weights.sum(1) == 7).all()
    assert weights[1:].mean(0) == pytest.approx(np.ones(7), abs=0.15)
    assert (resampling_weights(7, 3) == weights).all()
    assert (resampling_weights(7, 4) != weights).any()


def made_up(seed: int, members: int, texts: int) -> Group:
    rng = np.random.default_rng(seed)
    counts = np.repeat(rng.integers(0, 3, (1, texts)), members, axis=0)
    counts[:, 0] = 1
    dense = rng.uniform(0, 2, (members, texts)) * counts
    dense[0] = 0  # never active
    return Group(dense, dense * rng.uniform(0, 1.2, (members, texts)), counts)


def plain_drops(group: Group, weights: np.ndarray) -> tuple[list[float], list[list[float]]]:
    """Pooled, and of each neuron, for every row of the weights; texts are laid out as often as they were drawn."""
    pooled, each = [], []
    for row in weights.astype(int):
        drawn = [text for text, times in enumerate(row) for _ in range(times)]
        means = []
        for member in range(len(group.counts)):
            tokens = sum(group.counts[member, text] for text in drawn)
            pair = [sum(side[member, text] for text in drawn) for side in (group.dense, group.pruned)]
            means.append([value / tokens if tokens else 0.0 for value in pair])
        dense, pruned = (sum(pair[side] for pair in means) for side in (0, 1))
        pooled.append(1 - pruned / dense if dense > 0 else float("nan"))
        each.append([1 - b / a if a > 0 else float("nan") for a, b in means])
    return pooled, each


@settings(max_examples=15, deadline=None)
@given(st.integers(0, 10**6), st.integers(1, 5), st.integers(2, 6))
def test_intervals_are_the_percentiles_of_plain_resamples(seed: int, members: int, texts: int) -> None:
    group = made_up(seed, members, texts)
    weights = resampling_weights(texts, seed)[:60]
    pooled, each = plain_drops(group, weights)
    found = pooled_drop(group, weights)
    np.testing.assert_allclose([found.value, *found.drawn], pooled, atol=1e-12)
    bounds = drop_bounds(group, weights)
    for member in range(members):
        drawn = np.array([row[member] for row in each[1:]])
        known = (group.counts[member] > 0).sum() >= 2 and group.dense[member].sum() > 0 and np.isfinite(drawn).any()
        expected = np.nanpercentile(drawn, [2.5, 97.5]) if known else [np.nan, np.nan]
        np.testing.assert_allclose(bounds[member], expected, atol=1e-12)


def test_one_text_has_no_interval() -> None:
    group = Group(np.array([[2.0, 0.0]]), np.array([[1.0, 0.0]]), np.array([[1, 0]]))
    found = pooled_drop(group, resampling_weights(2, 0)).interval()
    assert (found.value, found.low, found.high, found.neurons, found.texts) == (0.5, None, None, 1, 1)
    assert np.isnan(drop_bounds(group, resampling_weights(2, 0))).all()


def test_no_neuron_has_no_drop() -> None:
    nothing = Group(np.empty((0, 3)), np.empty((0, 3)), np.empty((0, 3), dtype=int))
    found = pooled_drop(nothing, resampling_weights(3, 0))
    assert found.interval().value is None
    assert found.over(found).value is None
    assert drop_bounds(nothing, resampling_weights(3, 0)).shape == (0, 2)


def test_the_interval_covers_as_it_says() -> None:
    rng = np.random.default_rng(2)
    covered = 0
    for seed in range(100):
        counts = np.ones((1, 40), dtype=int)
        dense = rng.uniform(0.5, 1.5, (1, 40))
        found = pooled_drop(
            Group(dense, dense * rng.normal(0.7, 0.2, (1, 40)), counts), resampling_weights(40, seed)
        ).interval()
        assert found.low is not None
        assert found.high is not None
        covered += found.low < 0.3 < found.high
    assert covered >= 85
