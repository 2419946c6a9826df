"""Selection, controls and headline of every word set against a plain loop, and their false positives under a null."""

from dataclasses import dataclass

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from prunescope.nsa import headline
from prunescope.nsa.examples import Positions
from prunescope.nsa.scoring import ranked_neurons
from prunescope.nsa.selection import CONTROLS, Tops, controls
from prunescope.nsa.tables import MAX_TOP_OF_LAYER, top_number
from prunescope.nsa.word_sets import WordSets, half_sums, halves_of, word_sets
from tests.nsa.test_scoring import layout

LENGTH = 12


def made_up(
    seed: int, texts: int, neurons: int, layers: int, count: int
) -> tuple[Positions, WordSets, list[list[np.ndarray]]]:
    """Texts with two influential tokens each, placebo sets of random other tokens, and positive activations [variant]
    [layer][tokens, neurons]."""
    rng = np.random.default_rng(seed)

    def two_each() -> np.ndarray:
        return np.concatenate([1 + LENGTH * t + rng.choice(LENGTH - 1, 2, replace=False) for t in range(texts)])

    positions = layout([LENGTH] * texts, sorted(two_each().tolist()))
    sets = word_sets(positions, [np.sort(two_each()) for _ in range(count)], halves_of(positions, [None] * texts, seed))
    dense = [rng.gamma(0.7, size=(texts * LENGTH, neurons)) for _ in range(layers)]
    pruned = [values * rng.uniform(0.2, 1.1, size=values.shape) for values in dense]
    return positions, sets, [dense, pruned]


@dataclass(frozen=True)
class Found:
    """Top neurons and controls [layer], what was measured of them [variant][layer], and T of every set."""

    chosen: list[list[headline.Chosen]]
    measured: list[list[headline.Measured]]
    apart: np.ndarray

    def differences(self, scope: int = headline.OVER_ALL) -> headline.Differences:
        return headline.differences(self.chosen, self.measured[0], self.measured[1], scope)


def found_differences(positions: Positions, sets: WordSets, variants: list[list[np.ndarray]]) -> Found:
    every = [[half_sums(torch.from_numpy(values), sets, positions) for values in variant] for variant in variants]
    tops = Tops(sets, 0.05)
    for layer, sums in enumerate(every[0]):
        tops.add(layer, sums)
    over_all = tops.over_all()
    chosen = [
        controls(tops, layer, over_all[layer], sums, np.random.default_rng(layer))
        for layer, sums in enumerate(every[0])
    ]
    measured = [[headline.measured(one, sums, sets) for one, sums in zip(chosen, each, strict=True)] for each in every]
    dense, pruned = (sum(layer.sums[headline.OVER_ALL] for layer in side) for side in measured)
    drop = 1 - pruned / dense
    return Found(chosen, measured, drop[0] - drop[1])


@pytest.mark.parametrize("texts", [1, 6])
@settings(deadline=None, max_examples=6)
@given(st.integers(0, 10**6))
def test_every_set_is_the_plain_loops(texts: int, seed: int) -> None:
    neurons, layers = 70, 2
    positions, sets, variants = made_up(seed, texts, neurons, layers, 3)
    found = found_differences(positions, sets, variants)
    chosen = found.chosen
    of_groups: list[list[Group]] = []
    assert len(sets.folds) == (1 if texts == 1 else 2)
    for number in range(sets.count):
        dense_sums, pruned_sums = [0.0, 0.0], [0.0, 0.0]
        in_layer = np.zeros((layers, 2, 2))
        of_groups.append([{}, {}])
        for fold, (choosing, measuring) in enumerate(sets.folds):
            tokens = {
                side: list(
                    sets.tokens[
                        sets.starts[side * sets.count + number] : sets.starts[side * sets.count + number]
                        + sets.sizes[side, number]
                    ]
                )
                for side in (choosing, measuring)
            }
            counted = [p for p in np.flatnonzero(positions.counted) if sets.half[positions.text[p]] == choosing]
            scores: dict[tuple[int, int], float] = {}
            ranked: dict[int, np.ndarray] = {}
            for layer in range(layers):
                below = variants[0][layer][counted].sum(0)
                ranked[layer] = ranked_neurons(below, 0.05)[0]
                above = variants[0][layer][tokens[choosing]].sum(0)
                scores |= {(layer, n): above[n] / below[n] for n in range(neurons) if ranked[layer][n]}
            best = sorted(scores, key=lambda name: -scores[name])
            top = best[: top_number(len(scores))]
            for layer in range(layers):
                of_layer = [n for each, n in best if each == layer][:MAX_TOP_OF_LAYER]
                treated = set(of_layer) | {n for each, n in top if each == layer}
                means = [variant[layer][tokens[measuring]].mean(0) for variant in variants]
                pool = [n for n in range(neurons) if ranked[layer][n] and n not in treated and means[0][n] > 0]
                for n in treated:
                    near = sorted(pool, key=lambda other: abs(means[0][other] - means[0][n]))[:CONTROLS]
                    row = chosen[layer][fold].neurons[number].tolist().index(n)
                    assert set(chosen[layer][fold].matched[number, row].tolist()) - {-1} == set(near)
                    random = [c for c in chosen[layer][fold].random[number, row].tolist() if c >= 0]
                    assert len(set(random)) == len(random) == min(CONTROLS, len(pool))
                    assert set(random) <= set(pool)
                    for side, mean in enumerate(means):
                        values = [mean[n], np.mean([mean[c] for c in near])]
                        if (layer, n) in top:
                            for group, some in enumerate(([n], near)):
                                for c in some:
                                    pair = of_groups[-1][group].setdefault((layer, c), [0.0, 0.0])
                                    pair[side] += mean[c] / len(some)
                            for group in (0, 1):
                                (dense_sums, pruned_sums)[side][group] += values[group]
                        if n in of_layer:
                            in_layer[layer, side] += values
        drops = [1 - pruned_sums[group] / dense_sums[group] for group in (0, 1)]
        assert found.apart[number] == pytest.approx(drops[0] - drops[1], abs=1e-6)
        for layer in range(layers):
            for side in (0, 1):
                kept = found.measured[side][layer].sums[headline.IN_LAYER, :2, number]
                np.testing.assert_allclose(kept, in_layer[layer, side], rtol=1e-6)
    check_p_value(found, of_groups)


Group = dict[tuple[int, int], list[float]]
"""(layer, neuron) -> its part of the sums of A_m in the dense model and in the variant, pooled over both folds."""


def check_p_value(found: Found, of_groups: list[list[Group]]) -> None:
    """Compare p-value and scaled draws with plain loops over the top neurons and the controls of every set."""
    every = {name for groups in of_groups for group in groups for name in group}
    influence: list[dict[tuple[int, int], float]] = []
    for groups in of_groups:
        influence.append(dict.fromkeys(every, 0.0))
        for sign, group in zip((1, -1), groups, strict=True):
            before, after = (sum(pair[side] for pair in group.values()) for side in (0, 1))
            for name, pair in group.items():
                influence[-1][name] += sign * (after / before * pair[0] - pair[1]) / before
    middle = {name: np.mean([each[name] for each in influence]) for name in every}
    errors = [np.sqrt(sum((each[name] - middle[name]) ** 2 for name in every)) for each in influence]
    distances = (found.apart - found.apart.mean()) / errors
    differences = found.differences()
    assert differences.observed[0] == pytest.approx(found.apart[0], abs=1e-9)
    np.testing.assert_allclose(
        differences.placebo[:, 0], found.apart.mean() + distances[1:] * errors[0], rtol=1e-4, atol=1e-6
    )
    reached = sum(distances[1:] >= distances[0])
    assert differences.p_values[0] == pytest.approx((1 + reached) / len(distances))


def test_the_p_value_is_that_of_the_draws() -> None:
    rng = np.random.default_rng(0)
    apart = rng.uniform(-1, 1, (2, 101))
    apart[:, 0] = 1.9, -1.9  # the largest difference of all, and the smallest
    alike = headline.compared(apart, np.ones((2, 101)))
    np.testing.assert_allclose(alike.placebo, apart[:, 1:].T)
    assert alike.p_values[0] is not None
    assert alike.p_values[0] <= 1 / 101
    assert alike.p_values[1] == 1
    alone = headline.compared(apart[:, :1], np.ones((2, 1)))
    assert alone.p_values == (None, None)
    assert len(alone.placebo) == 0
    assert headline.compared(np.full((2, 5), np.nan), np.ones((2, 5))).p_values == (None, None)
    assert headline.compared(apart, np.zeros((2, 101))).p_values == (None, None)
    unchanged = headline.compared(np.full((2, 101), -1e-17), np.zeros((2, 101)))
    assert unchanged.p_values == (1, 1) and (unchanged.placebo == unchanged.placebo[0]).all()


def test_a_difference_is_compared_at_its_own_error() -> None:
    """Words whose few neurons vary four times as much by chance are not significant more often for that; compared
    without their errors they are."""
    rng = np.random.default_rng(1)
    errors = np.ones((2, 201))
    errors[:, 0] = 4
    found = {"own": 0, "none": 0}
    for _ in range(400):
        apart = rng.normal(size=(2, 201)) * errors
        for name, each in (("own", errors), ("none", np.ones((2, 201)))):
            p = headline.compared(apart, each).p_values[0]
            found[name] += p is not None and p < 0.05
    assert found["own"] <= 32  # 8 %; 20 are expected, and more than 32 have a probability of 0.4 %
    assert found["none"] > 80


def test_choosing_and_measuring_on_the_same_tokens_finds_what_is_not_there() -> None:
    """Weight noise that harms all neurons alike: without cross-fitting the top neurons seem to fall much further than
    their controls; with it they do not, and the placebo sets show the same difference either way."""
    rng = np.random.default_rng(5)
    apart = {}
    for cross in (False, True):
        positions, sets, (dense, _) = made_up(9, 10, 400, 2, 60)
        if not cross:
            sets = word_sets(positions, [], np.zeros(10, dtype=int))
        noisy = [0.5 * values + 0.5 * rng.gamma(0.7, size=values.shape) for values in dense]
        apart[cross] = found_differences(positions, sets, [dense, noisy]).apart[0]
    assert apart[False] > 0.05
    assert abs(apart[True]) < 0.03
