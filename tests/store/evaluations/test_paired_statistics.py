"""Paired statistics against published figures, SciPy's own, and every table of counts there is."""

from math import comb, sqrt

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.optimize import minimize_scalar
from scipy.stats import binomtest, false_discovery_control, norm, ttest_rel

from prunescope.store.evaluations.paired_statistics import (
    benjamini_hochberg,
    compare,
    compare_losses,
    mcnemar_exact,
    tango_interval,
)

Z = norm.ppf(0.975)


def test_tangos_interval_is_the_published_one() -> None:
    """Fagerland, Lydersen, Laake (Statistics in Medicine 33, 2014): airway hyper-responsiveness before and after stem
    cell transplantation (Bentur et al. 2009), 21 children, 7 changed one way and 1 the other."""
    low, high = tango_interval(21, 7, 1)
    assert (float(low), float(high)) == pytest.approx((-0.517, -0.026), abs=0.0005)


counts = st.integers(1, 300).flatmap(
    lambda n: st.integers(0, n).flatmap(lambda wrong: st.tuples(st.just(n), st.just(wrong), st.integers(0, n - wrong)))
)


@settings(deadline=None)
@given(counts)
def test_the_interval_holds_the_difference_and_mirrors(counted: tuple[int, int, int]) -> None:
    n, wrong, right = counted
    low, high = (float(end) for end in tango_interval(n, wrong, right))
    assert -1 <= low <= (right - wrong) / n <= high <= 1
    mirrored = tango_interval(n, right, wrong)
    assert (-float(mirrored[1]), -float(mirrored[0])) == pytest.approx((low, high), abs=1e-12)


@settings(deadline=None)
@given(counts)
def test_the_ends_are_where_the_score_test_begins_to_reject(counted: tuple[int, int, int]) -> None:
    """The restricted maximum of the likelihood is looked for by a search here."""
    n, wrong, right = counted
    low, high = (float(end) for end in tango_interval(n, wrong, right))
    for end in (low, high):
        if abs(end) < 1 - 1e-6:
            assert abs(slow_score(n, wrong, right, end)) == pytest.approx(Z, rel=2e-3)


def slow_score(n: int, wrong: int, right: int, difference: float) -> float:
    """(right - wrong - n d) / its standard error at the most likely shares (newly wrong q, newly right q + d)."""
    least = max(0.0, -difference)
    most = (1 - difference) / 2

    def unlikelihood(q: float) -> float:
        total = 0.0
        for count, share in ((wrong, q), (right, q + difference), (n - wrong - right, 1 - 2 * q - difference)):
            if count:
                total -= count * np.log(max(share, 1e-300))
        return total

    found = minimize_scalar(unlikelihood, bounds=(least, most), method="bounded", options={"xatol": 1e-13})
    q = min((found.x, least, most), key=unlikelihood)
    return (right - wrong - n * difference) / sqrt(n * (2 * q + difference - difference**2))


@pytest.mark.parametrize(("wrong", "right"), [(0.1, 0.02), (0.05, 0.05), (0.3, 0.1), (0.01, 0.0)])
@pytest.mark.parametrize("n", [20, 60])
def test_the_interval_covers_as_it_says(n: int, wrong: float, right: float) -> None:
    """Over every table of counts that can come out, weighted by how likely it is."""
    tables = [(i, j) for i in range(n + 1) for j in range(n + 1 - i)]
    i, j = (np.array(values) for values in zip(*tables, strict=True))
    ways = np.array([comb(n, a) * comb(n - a, b) for a, b in tables], np.float64)
    weights = ways * wrong**i * right**j * (1 - wrong - right) ** (n - i - j)
    low, high = tango_interval(np.full(len(i), n), i, j)
    covered = weights[(low <= right - wrong) & (right - wrong <= high)].sum()
    assert weights.sum() == pytest.approx(1)
    assert 0.92 < covered <= 1


@settings(deadline=None)
@given(st.integers(0, 400), st.integers(0, 400))
def test_mcnemars_p_is_the_binomial_tests(wrong: int, right: int) -> None:
    expected = 1.0 if wrong + right == 0 else binomtest(wrong, wrong + right, 0.5).pvalue
    assert float(mcnemar_exact(wrong, right)) == pytest.approx(expected, rel=1e-9)


@settings(deadline=None)
@given(st.lists(st.floats(0, 1), min_size=1, max_size=50))
def test_benjamini_hochberg_is_scipys(p: list[float]) -> None:
    assert benjamini_hochberg(p) == pytest.approx(false_discovery_control(p), rel=1e-12, abs=0)


def test_of_no_tests_nothing_is_controlled() -> None:
    assert benjamini_hochberg([]).tolist() == []


def test_many_pairs_are_compared_at_once() -> None:
    found = compare([100, 10, 5], [20, 0, 5], [5, 0, 0])
    assert found.difference.tolist() == [-0.15, 0.0, -1.0]
    assert found.p[1] == 1.0 and found.low[1] < 0 < found.high[1]
    assert found.low[2] == -1.0 and found.high[2] < 0
    for each in range(3):
        alone = compare([100, 10, 5][each], [20, 0, 5][each], [5, 0, 0][each])
        assert (float(alone.low), float(alone.high), float(alone.p)) == (
            found.low[each],
            found.high[each],
            found.p[each],
        )


@pytest.mark.parametrize("windows", [2, 5, 160])
def test_losses_are_compared_as_scipys_paired_t_does(windows: int) -> None:
    draw = np.random.default_rng(windows)
    dense = draw.normal(2, 0.5, windows)
    pruned = dense + draw.normal(0.02, 0.05, windows)
    found, wanted = compare_losses(pruned, dense), ttest_rel(pruned, dense)
    ends = wanted.confidence_interval(0.95)
    assert (found.low, found.high, found.p) == pytest.approx((ends.low, ends.high, wanted.pvalue))
    assert found.difference == pytest.approx(pruned.mean() - dense.mean())
    assert (found.worse, found.better) == ((pruned > dense).sum(), (pruned < dense).sum()) and found.same == 0


def test_losses_that_all_differ_alike_leave_nothing_to_chance() -> None:
    dense = np.array([1.0, 2.0, 4.0])
    same = compare_losses(dense, dense)
    assert (same.difference, same.low, same.high, same.p, same.same) == (0, 0, 0, 1, 3)
    shifted = compare_losses(dense + 0.5, dense)
    assert (shifted.low, shifted.high, shifted.p, shifted.worse) == (0.5, 0.5, 0, 3)
