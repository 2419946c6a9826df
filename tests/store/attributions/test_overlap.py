"""Chance against SciPy's hypergeometric distribution and against every possible choice."""

from collections import Counter
from itertools import combinations
from math import comb

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats

from prunescope.store.attributions.overlap import chance, spearman, together


@st.composite
def choices(draw: st.DrawFn, most: int, least: int = 0) -> tuple[int, int, int]:
    population = draw(st.integers(least, most))
    return population, draw(st.integers(0, population)), draw(st.integers(0, population))


@settings(deadline=None)
@given(choices(least=1, most=400))  # SciPy has no answer for a population of none
def test_the_distribution_is_scipys(size: tuple[int, int, int]) -> None:
    population, first, second = size
    found, wanted = chance(*size), stats.hypergeom(population, first, second)
    counts = found.least + np.arange(len(found.probabilities))
    np.testing.assert_allclose(found.probabilities, wanted.pmf(counts), rtol=1e-9, atol=1e-15)
    assert found.mean == pytest.approx(first * second / population)
    for count in {0, found.least, int(counts[-1]), int(counts[len(counts) // 2])}:
        assert found.at_least(count) == pytest.approx(wanted.sf(count - 1), rel=1e-9, abs=1e-15)
    low, high = found.interval
    assert wanted.cdf(low - 1) <= 0.025 + 1e-12 and wanted.cdf(low) > 0.025 - 1e-12
    assert wanted.sf(high) <= 0.025 + 1e-12 and wanted.sf(high - 1) > 0.025 - 1e-12


@settings(deadline=None)
@given(choices(most=7))
def test_it_counts_every_choice(size: tuple[int, int, int]) -> None:
    population, first, second = size
    fixed = set(range(first))
    seen = Counter(len(fixed.intersection(other)) for other in combinations(range(population), second))
    found = chance(*size)
    for place, probability in enumerate(found.probabilities):
        assert probability == pytest.approx(seen[found.least + place] / comb(population, second))
    assert found.least == min(seen) and found.least + len(found.probabilities) - 1 == max(seen)


@settings(deadline=None)
@given(st.lists(choices(most=12), max_size=4))
def test_together_is_the_sum_of_all_combinations(sizes: list[tuple[int, int, int]]) -> None:
    parts = [chance(*size) for size in sizes]
    wanted: Counter[int] = Counter({0: 1.0})  # type: ignore[dict-item]
    for part in parts:
        grown: Counter[int] = Counter()
        for total, weight in wanted.items():
            for place, probability in enumerate(part.probabilities):
                grown[total + part.least + place] += weight * probability
        wanted = grown
    found = together(parts)
    for place, probability in enumerate(found.probabilities):
        assert probability == pytest.approx(wanted[found.least + place], abs=1e-14)
    assert found.mean == pytest.approx(sum(part.mean for part in parts))


def test_a_7b_models_layers_are_exact_too() -> None:
    layers = [chance(11008, 551, 551)] * 32
    assert layers[0].at_least(60) == pytest.approx(stats.hypergeom(11008, 551, 551).sf(59), rel=1e-9)
    whole = together(layers)
    assert whole.mean == pytest.approx(32 * 551 * 551 / 11008)
    low, high = whole.interval
    assert whole.probabilities.sum() == pytest.approx(1)
    assert low < whole.mean < high and high - low < 130  # two standard errors of the sum to each side
    assert whole.at_least(1200) < 1e-20


@pytest.mark.parametrize("size", [(5, 6, 1), (5, 1, 6), (5, -1, 2)])
def test_more_than_there_are_cannot_be_chosen(size: tuple[int, int, int]) -> None:
    with pytest.raises(ValueError, match="among 5"):
        chance(*size)


@settings(deadline=None)
@given(st.lists(st.tuples(st.integers(-4, 4), st.integers(-4, 4)), min_size=3, max_size=40))
def test_the_rank_correlation_is_scipys(pairs: list[tuple[int, int]]) -> None:
    first, second = (np.array(values, np.float64) for values in zip(*pairs, strict=True))
    found = spearman(first, second)
    if len(set(first)) == 1 or len(set(second)) == 1:
        assert found is None
        return
    assert found is not None
    assert found[0] == pytest.approx(stats.spearmanr(first, second).statistic, abs=1e-12)
    assert found[1] == pytest.approx(1.96 / np.sqrt(len(pairs) - 1), rel=1e-4)


def test_the_range_of_chance_holds_19_of_20_random_orders() -> None:
    random = np.random.default_rng(0)
    values = random.integers(0, 30, 80).astype(np.float64)
    found = [spearman(values, random.permutation(values)) for _ in range(4000)]
    outside = np.mean([abs(pair[0]) > pair[1] for pair in found if pair is not None])
    assert 0.035 < outside < 0.065


def test_two_values_have_no_correlation() -> None:
    assert spearman(np.array([1.0, 2.0]), np.array([2.0, 1.0])) is None
