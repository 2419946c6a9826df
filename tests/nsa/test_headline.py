"""Selection, controls and headline of every word set against a plain loop, and their false positives under a null."""

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
from prunescope.nsa.word_sets import HalfSums, WordSets, half_sums, halves_of, word_sets
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


def found_differences(
    positions: Positions, sets: WordSets, variants: list[list[np.ndarray]]
) -> tuple[np.ndarray, dict[int, list[headline.Chosen]], list[dict[int, headline.Totals]]]:
    every: list[dict[int, HalfSums]] = [
        {layer: half_sums(torch.from_numpy(values), sets, positions) for layer, values in enumerate(variant)}
        for variant in variants
    ]
    tops = Tops(sets, 0.05)
    for layer, sums in every[0].items():
        tops.add(layer, sums)
    over_all = tops.over_all()
    chosen = {
        layer: controls(tops, layer, over_all[layer], sums, np.random.default_rng(layer))
        for layer, sums in every[0].items()
    }
    totals = [{layer: headline.totals(chosen[layer], sums, sets) for layer, sums in each.items()} for each in every]
    dense, pruned = (sum(parts[headline.OVER_ALL] for parts in side.values()) for side in totals)
    drop = 1 - pruned / dense
    return drop[0] - drop[1], chosen, totals


@pytest.mark.parametrize("texts", [1, 6])
@settings(deadline=None, max_examples=6)
@given(st.integers(0, 10**6))
def test_every_set_is_the_plain_loops(texts: int, seed: int) -> None:
    neurons, layers = 70, 2
    positions, sets, variants = made_up(seed, texts, neurons, layers, 3)
    found, chosen, totals = found_differences(positions, sets, variants)
    assert len(sets.folds) == (1 if texts == 1 else 2)
    for number in range(sets.count):
        dense_sums, pruned_sums = [0.0, 0.0], [0.0, 0.0]
        in_layer = np.zeros((layers, 2, 2))
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
            scores, ranked = {}, {}
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
                            for group in (0, 1):
                                (dense_sums, pruned_sums)[side][group] += values[group]
                        if n in of_layer:
                            in_layer[layer, side] += values
        drops = [1 - pruned_sums[group] / dense_sums[group] for group in (0, 1)]
        assert found[number] == pytest.approx(drops[0] - drops[1], abs=1e-6)
        for layer in range(layers):
            for side in (0, 1):
                kept = totals[side][layer][headline.IN_LAYER, :2, number]
                np.testing.assert_allclose(kept, in_layer[layer, side], rtol=1e-6)


def test_the_p_value_is_that_of_the_draws() -> None:
    rng = np.random.default_rng(0)
    dense, pruned = np.full((3, 101), 2.0), 2 - rng.uniform(0, 1, (3, 101))
    pruned[:, 0] = 0.01, 1.9, 1.9  # the largest difference of all
    found = headline.differences(dense, pruned)
    drop = 1 - pruned / dense
    np.testing.assert_allclose(found.placebo[:, 0], (drop[0] - drop[1])[1:])
    assert found.p_values[0] is not None
    assert found.p_values[0] <= 1 / 101
    alone = headline.differences(dense[:, :1], pruned[:, :1])
    assert alone.p_values == (None, None)
    assert len(alone.placebo) == 0
    nowhere = headline.differences(np.zeros((3, 5)), pruned[:, :5])
    assert nowhere.p_values == (None, None)


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
        apart[cross] = found_differences(positions, sets, [dense, noisy])[0][0]
    assert apart[False] > 0.05
    assert abs(apart[True]) < 0.03
