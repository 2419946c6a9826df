"""The difference of two AUCs on the same rows: against resamples written out row by row, and in simulations."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from scipy.stats import norm

from prunescope.store.evaluations.labels import auc, placements, standard_error
from prunescope.store.evaluations.paired_auc import RESAMPLES, compare_auc, resampling_weights, weighted_auc

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]


def drawn(
    random: np.random.Generator, rows: int, labels: int, signal: tuple[float, float], noise: float = 0.7
) -> tuple[Floats, Floats, Ints]:
    """Scores of two models that share what makes a row hard, each with its own signal and its own noise."""
    right = np.arange(rows) % labels
    of_row = random.normal(size=(rows, labels))
    known = right[:, None] == np.arange(labels)
    pruned, dense = (of_row + size * known + noise * random.normal(size=(rows, labels)) for size in signal)
    return pruned, dense, right


@settings(deadline=None, max_examples=50)
@given(st.integers(2, 4), st.integers(0, 10_000), st.booleans())
def test_a_weighted_auc_is_that_of_the_rows_repeated(labels: int, seed: int, tied: bool) -> None:
    random = np.random.default_rng(seed)
    scores, _, right = drawn(random, 13, labels, (0.5, 0.5))
    scores = scores.round() if tied else scores
    weights = resampling_weights(right, 6, random)
    found = weighted_auc(scores, right, weights)
    for value, times in zip(found, weights, strict=True):
        assert value == pytest.approx(auc(np.repeat(scores, times, axis=0), np.repeat(right, times))[0])
        assert np.bincount(right, times).tolist() == np.bincount(right).tolist()


def test_the_interval_is_that_of_a_plain_loop() -> None:
    """The loop draws its rows one by one; its ends differ by the error of the resamples only."""
    random = np.random.default_rng(5)
    pruned, dense, right = drawn(random, 30, 2, (0.4, 1.2))
    found = compare_auc(pruned, dense, right)
    assert found is not None and found.difference == auc(pruned, right)[0] - auc(dense, right)[0]
    differences = []
    for _ in range(RESAMPLES):
        rows = [int(random.choice(np.flatnonzero(right == label))) for label in (0, 1) for _ in range(15)]
        differences.append(auc(pruned[rows], right[rows])[0] - auc(dense[rows], right[rows])[0])
    low, high = np.percentile(differences, [2.5, 97.5])
    spread = float(np.std(differences))
    assert found.low == pytest.approx(low, abs=0.4 * spread) and found.high == pytest.approx(high, abs=0.4 * spread)
    assert found.low < found.difference < found.high


def test_with_many_rows_the_interval_is_nearly_the_normal_one() -> None:
    """So many that their resamples are drawn in several parts."""
    pruned, dense, right = drawn(np.random.default_rng(2), 10_000, 2, (0.5, 0.7))
    found = compare_auc(pruned, dense, right)
    error = standard_error(placements(pruned, right)[1] - placements(dense, right)[1], right)
    assert found is not None and error is not None
    assert [found.low, found.high] == pytest.approx(
        [found.difference + z * error for z in (-1.96, 1.96)], abs=error / 4
    )


def test_p_is_that_of_delongs_test() -> None:
    """The variance of the difference from the placements, with their covariance, written out."""
    pruned, dense, right = drawn(np.random.default_rng(3), 50, 2, (0.3, 0.9))
    found = compare_auc(pruned, dense, right)
    wins = [
        (margin[right == 1][:, None] > margin[right == 0][None, :]).astype(float)
        for margin in (scores[:, 1] - scores[:, 0] for scores in (pruned, dense))
    ]
    of_positive, of_negative = (np.cov([each.mean(axis=axis) for each in wins]) for axis in (1, 0))
    covariance = of_positive / 25 + of_negative / 25
    error = np.sqrt(covariance[0, 0] + covariance[1, 1] - 2 * covariance[0, 1])
    difference = wins[0].mean() - wins[1].mean()
    assert found is not None and found.p == pytest.approx(2 * norm.sf(abs(difference) / error))


@pytest.mark.parametrize("labels", [2, 3])
def test_the_interval_covers_and_p_is_seldom_small(labels: int) -> None:
    random = np.random.default_rng(7)
    for signal in ((0.7, 0.7), (0.3, 1.2)):
        pruned, dense, right = drawn(random, 20_000, labels, signal)
        truth = 0.0 if signal[0] == signal[1] else auc(pruned, right)[0] - auc(dense, right)[0]
        found = [compare_auc(*drawn(random, 60, labels, signal)) for _ in range(400)]
        assert 0.92 <= np.mean([one is not None and one.low <= truth <= one.high for one in found]) <= 0.98
        if not truth:
            assert np.mean([one is not None and one.p < 0.05 for one in found]) <= 0.07


def test_equal_scores_do_not_differ_and_a_single_row_has_no_interval() -> None:
    scores, _, right = drawn(np.random.default_rng(1), 12, 2, (0.5, 0.5))
    found = compare_auc(scores, scores + np.array([3.0, 0.0]), right)
    assert found is not None and (found.difference, found.low, found.high, found.p) == (0, 0, 0, 1)
    perfect = np.where(right[:, None] == np.arange(2), 1.0, 0.0)
    found = compare_auc(1 - perfect, perfect, right)
    assert found is not None and (found.difference, found.low, found.high, found.p) == (-1, -1, -1, 0)
    assert compare_auc(scores, scores, np.array([1, *[0] * 11])) is None
