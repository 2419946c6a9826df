"""Drops, controls and their intervals on numbers whose answer is known."""

import numpy as np
import pytest

from nsa.comparison import COMPARATORS, LayerPairs, controls, drops, layer_pairs, matched_words, pooled_drop


def test_a_drop_is_undefined_where_the_dense_model_was_silent() -> None:
    found = drops(np.array([0.2112, 0.0, -1.0, 2.0]), np.array([0.0084, 1.0, 0.0, 3.0]))
    assert found[0] == pytest.approx(1 - 0.0084 / 0.2112)
    assert np.isnan(found[1:3]).all()
    assert found[3] == -0.5


def test_a_neuron_is_matched_to_its_strongest_word() -> None:
    assert matched_words(np.array([[0.1, 0.4, 0.2], [0.0, 0.0, 0.0], [-1.0, -2.0, -0.5]])).tolist() == [1, -1, -1]


def test_comparators_are_ranked_unmatched_and_answer_to_the_word() -> None:
    rng = np.random.default_rng(0)
    dense = rng.uniform(0.1, 1, (200, 2))
    dense[100:, 1] = 0  # silent on word 1
    pruned = dense * 0.8
    ranked = np.ones(200, bool)
    ranked[50:100] = False
    matched, words = np.array([0, 1, 120]), np.array([1, 1, 0])
    found = layer_pairs(dense, pruned, matched, words, ranked, rng)
    np.testing.assert_allclose(found.matched[:, 0], dense[matched, words])
    np.testing.assert_allclose(found.matched[:, 1], pruned[matched, words])
    for row, (neuron, word) in enumerate(zip(matched, words, strict=True)):
        pool = [n for n in range(200) if ranked[n] and n not in matched and dense[n, word] > 0]
        nearest = sorted(pool, key=lambda n: abs(dense[n, word] - dense[neuron, word]))[:COMPARATORS]
        assert found.like[row, 0] == pytest.approx(dense[nearest, word].mean())
        assert found.random[row, 0] <= max(dense[pool, word])
    np.testing.assert_allclose(found.random[:, 1] / found.random[:, 0], 0.8)


def test_a_matched_neuron_without_comparators_is_left_out() -> None:
    dense = np.array([[1.0], [0.0], [0.0]])
    found = layer_pairs(dense, dense, np.array([0]), np.array([0]), np.ones(3, bool), np.random.default_rng(0))
    assert found.matched.shape == (0, 2)
    empty = controls([found], 0)
    assert empty.matched.value is None
    assert empty.over_like.neurons == 0


def test_controls_tell_matched_damage_from_damage_everywhere() -> None:
    rng = np.random.default_rng(1)

    def pairs(drop: float) -> np.ndarray:
        dense = rng.uniform(0.5, 2, 80)
        return np.stack([dense, dense * (1 - drop) + rng.normal(0, 0.05, 80)], axis=1)

    layers = [LayerPairs(pairs(0.6), pairs(0.2), pairs(0.25)) for _ in range(2)]
    found = controls(layers, 0)
    for interval, expected in (
        (found.matched, 0.6),
        (found.random, 0.2),
        (found.like, 0.25),
        (found.over_random, 0.4),
        (found.over_like, 0.35),
    ):
        assert interval.value is not None
        assert interval.low is not None
        assert interval.high is not None
        assert interval.low < interval.value < interval.high
        assert interval.value == pytest.approx(expected, abs=0.03)
        assert interval.high - interval.low < 0.1
        assert interval.neurons == 160
    assert controls(layers, 0) == found


def test_the_interval_of_a_pooled_drop_covers_as_it_says() -> None:
    rng = np.random.default_rng(2)
    covered = 0
    for seed in range(100):
        dense = rng.uniform(0.5, 1.5, 40)
        found = pooled_drop(np.stack([dense, dense * rng.normal(0.7, 0.2, 40)], axis=1), seed)
        assert found.low is not None
        assert found.high is not None
        covered += found.low < 0.3 < found.high
    assert covered >= 85
    assert pooled_drop(np.empty((0, 2)), 0).value is None
