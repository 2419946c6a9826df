"""Eq. 1 and its significance against slow, obvious versions."""

import math
from dataclasses import replace

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats

from prunescope.lm.errors import BadInput
from prunescope.nsa.examples import Positions
from prunescope.nsa.scoring import Sums, redraws, scores, sums, word_means
from prunescope.nsa.significance import MIN_REACHED, MIN_TAIL, q_values


def layout(lengths: list[int], influential: list[int], words: dict[str, list[int]] | None = None) -> Positions:
    """Texts whose first token is special."""
    text = np.repeat(np.arange(len(lengths)), lengths)
    starts = np.cumsum([0, *lengths[:-1]])
    special = np.zeros(len(text), bool)
    special[starts] = True
    flags = np.zeros(len(text), bool)
    flags[influential] = True
    return Positions(text, special, flags, {w: np.array(p) for w, p in (words or {"bad": influential}).items()})


def values(seed: int, neurons: int, tokens: int) -> np.ndarray:
    return np.random.default_rng(seed).standard_normal((neurons, tokens)).astype(np.float16)


def plain_scores(a: np.ndarray, positions: Positions, activation: str) -> tuple[list[float], list[float]]:
    change = {"relu": lambda x: max(0.0, x), "abs": abs, "raw": lambda x: x}[activation]
    above, below = [], []
    for row in a:
        top = bottom = 0.0
        for place, value in enumerate(row):
            if positions.counted[place]:
                bottom += change(float(value))
                if positions.influential[place]:
                    top += change(float(value))
        above.append(top)
        below.append(bottom)
    return above, below


@settings(max_examples=40, deadline=None)
@given(
    st.integers(0, 10**6), st.integers(1, 30), st.sampled_from(["relu", "abs", "raw"]), st.sampled_from([0, 0.05, 0.5])
)
def test_score_is_the_plain_loops(seed: int, neurons: int, activation: str, floor: float) -> None:
    positions = layout([7, 5, 9], [2, 3, 9, 15])
    a = values(seed, neurons, 21)
    found = scores(sums(torch.from_numpy(a), positions, activation), positions, floor=floor)
    above, below = plain_scores(a, positions, activation)
    least = np.quantile(np.abs(below), floor)
    share = 4 / 18
    for neuron in range(neurons):
        if below[neuron] < least or below[neuron] <= 0:
            assert np.isnan(found.score[neuron])
            assert np.isnan(found.lift[neuron])
            assert not found.ranked[neuron]
        else:
            assert found.score[neuron] == pytest.approx(above[neuron] / below[neuron], abs=1e-5, rel=1e-5)
            assert found.lift[neuron] == pytest.approx(found.score[neuron] / share)


def test_a_special_token_counts_only_when_asked_for() -> None:
    positions = layout([4], [2])
    a = torch.tensor([[100.0, 1.0, 2.0, 1.0]])
    assert scores(sums(a, positions), positions).score[0] == pytest.approx(0.5)
    counted = replace(positions, count_special=True)
    assert scores(sums(a, counted), counted).score[0] == pytest.approx(2 / 104)


def test_a_planted_neuron_is_the_first_in_rank() -> None:
    positions = layout([20, 30, 25], [5, 6, 30, 60])
    a = values(3, 500, 75)
    a[321] = 0.01
    a[321, [5, 6, 30, 60]] = 8
    summed = sums(torch.from_numpy(a), positions, draws=redraws(positions, 999, 0))
    found = scores(summed, positions, summed.p_value)
    assert np.nanargmax(found.score) == 321
    assert np.nanargmax(found.z) == 321
    assert found.p_value[321] <= 1 / 1000
    assert np.nanargmin(q_values(found.p_value)) == 321


def test_blocks_change_nothing() -> None:
    positions = layout([7, 5], [2, 9], {"bad": [2, 9], "good": [3]})
    a = torch.from_numpy(values(1, 40, 12))
    draws = redraws(positions, 50, 1)
    whole = sums(a, positions, "relu", draws)
    joined = Sums.joined([sums(a[:13], positions, "relu", draws), sums(a[13:], positions, "relu", draws)])
    for name, expected in vars(whole).items():
        np.testing.assert_allclose(getattr(joined, name), expected)


def test_redraws_take_as_many_counted_positions_of_each_text() -> None:
    positions = layout([10, 6, 4], [1, 2, 3, 12])
    drawn = redraws(positions, 200, 5).numpy()
    assert drawn.shape == (200, 4)
    assert not positions.special[drawn].any()
    for draw in drawn:
        assert len(set(draw.tolist())) == 4  # without replacement
        assert np.bincount(positions.text[draw], minlength=3).tolist() == [3, 1, 0]
    often = np.bincount(drawn.ravel(), minlength=20)
    assert (often[1:10] > 0.2 * 200).all()  # every position has its turn
    assert (redraws(positions, 200, 5).numpy() == drawn).all()
    assert (redraws(positions, 200, 6).numpy() != drawn).any()


@settings(max_examples=30, deadline=None)
@given(st.integers(0, 10**6), st.sampled_from(["relu", "abs", "raw"]), st.booleans(), st.sampled_from([1, 20, 200]))
def test_p_values_are_those_of_a_plain_loop_with_the_same_draws(
    seed: int, activation: str, count_special: bool, permutations: int
) -> None:
    positions = replace(layout([7, 5, 9], [2, 3, 9, 15]), count_special=count_special)
    a = values(seed, 12, 21)
    a[3] = np.round(a[3])  # many redraws equal to what was observed
    a[4] = 1
    draws = redraws(positions, permutations, seed)
    summed = sums(torch.from_numpy(a), positions, activation, draws)
    found = scores(summed, positions, summed.p_value)
    change = {"relu": lambda x: max(0.0, x), "abs": abs, "raw": lambda x: x}[activation]
    for neuron, row in enumerate(a.astype(np.float64)):
        observed = math.fsum(change(row[place]) for place in np.flatnonzero(positions.influential))
        reached = 0
        for draw in draws.tolist():
            reached += math.fsum(change(row[place]) for place in draw) >= observed
        counted = (reached + 1) / (permutations + 1)
        if found.ranked[neuron] and (reached >= MIN_REACHED or permutations < 4 * MIN_TAIL):
            assert found.p_value[neuron] == counted
        elif found.ranked[neuron]:
            assert 0 < found.p_value[neuron] <= counted
        else:
            assert np.isnan(found.p_value[neuron])


@pytest.mark.parametrize("activation", ["relu", "abs", "raw"])
def test_the_closed_form_agrees_with_monte_carlo(activation: str) -> None:
    positions = layout([30, 12, 20], [3, 4, 5, 33, 50, 51])
    a = torch.from_numpy(values(11, 60, 62))
    count = 20000
    draws = redraws(positions, count, 2)
    found = sums(a, positions, activation, draws)
    change = {"relu": lambda x: x.clamp(min=0), "abs": torch.abs, "raw": lambda x: x}[activation]
    null = change(a).double()[:, draws].sum(2).numpy()
    np.testing.assert_allclose(null.mean(1), found.null_mean, atol=5 * (null.std(1) / count**0.5).max())
    np.testing.assert_allclose(null.var(1), found.null_variance, rtol=0.08)
    reached = (null >= found.numerator[:, None]).sum(1)
    often = reached >= MIN_REACHED
    np.testing.assert_array_equal(((reached + 1) / (count + 1))[often], found.p_value[often])


def test_both_tails_agree_where_both_can_be_computed() -> None:
    positions = layout([60, 80, 70], [*range(3, 50, 3), *range(70, 130, 4), *range(150, 205, 4)])
    a = torch.from_numpy(values(4, 300, 210))
    draws = redraws(positions, 4000, 9)
    summed = sums(a, positions, "abs", draws)
    found = scores(summed, positions, summed.p_value)
    tail = stats.norm.sf(found.z)
    known = found.ranked & (tail > 0.02)
    assert known.sum() > 200
    assert np.abs(found.p_value - tail)[known].max() < 0.03


def test_without_redraws_there_is_no_p_value() -> None:
    positions = layout([7], [2])
    found = scores(sums(torch.from_numpy(values(0, 9, 7)), positions), positions)
    assert np.isnan(found.p_value).all()
    assert np.isfinite(found.z[found.ranked]).all()


def test_a_neuron_that_is_never_active_is_not_ranked() -> None:
    positions = layout([7], [2])
    a = torch.from_numpy(-np.abs(values(0, 9, 7)))
    summed = sums(a, positions, "relu", redraws(positions, 10, 0))
    found = scores(summed, positions, summed.p_value)
    assert not found.ranked.any()
    assert np.isnan(found.p_value).all()


def test_word_means_are_over_all_tokens_of_the_word() -> None:
    positions = layout([6, 6], [2, 3, 8], {"bad": [2, 3], "awful": [8]})
    a = values(2, 5, 12)
    found = word_means(torch.from_numpy(a), positions, "relu")
    exact = np.maximum(a.astype(np.float64), 0)
    np.testing.assert_allclose(found, np.stack([exact[:, [2, 3]].mean(1), exact[:, 8]], axis=1), rtol=1e-6)
    np.testing.assert_allclose(sums(torch.from_numpy(a), positions).words, found, rtol=1e-6)


def test_an_unknown_activation_lists_the_known_ones() -> None:
    with pytest.raises(BadInput, match="choose one of relu, abs, raw"):
        sums(torch.zeros(1, 3), layout([3], [1]), "gelu")
