"""Paired statistics of a pruned model and its dense model on the same rows: the difference and its significance.

    newly wrong    the dense model is right, the pruned one wrong    difference = (newly right - newly wrong) / rows
    newly right    the dense model is wrong, the pruned one right

The confidence interval of the difference is Tango's (Equivalence test and confidence interval for the difference in
proportions for the paired-sample design, Statistics in Medicine 17, 1998): all differences that the score test does not
reject, with the nuisance parameter at its restricted maximum-likelihood estimate. It keeps its coverage for few rows
and for few changed rows, for which Wald's interval fails (Fagerland, Lydersen, Laake, Statistics in Medicine 33, 2014).
p is the two-sided p-value of McNemar's exact test of the null hypothesis that a changed row is as likely to be newly
wrong as newly right. The exact test is more conservative than the interval: close to the limit the interval may exclude
zero although p is above 0.05.

Losses on the same windows of text are compared by Student's paired t-test: the difficulty of a window affects both
models and cancels in their difference. Windows of one text are treated as independent samples. Neighbouring windows are
correlated, so the interval is slightly too narrow.

The functions for rows take arrays of pairs and are vectorised over them.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

CONFIDENCE = 0.95
_HALVINGS = 60
"""Steps of the bisection: an interval of length 2 shrinks below the spacing of floats."""

Floats = NDArray[np.float64]


@dataclass(frozen=True)
class Paired:
    """Arrays over pairs of models: pruned minus dense accuracy, its 95 % confidence interval, McNemar's exact p."""

    difference: Floats
    low: Floats
    high: Floats
    p: Floats


@dataclass(frozen=True)
class PairedLosses:
    """The comparison of two models on the same windows: the mean of pruned minus dense loss (nats per token), its 95 %
    confidence interval, the two-sided p-value of no difference, and the numbers of windows on which the pruned model is
    worse, better and equal."""

    difference: float
    low: float
    high: float
    p: float
    worse: int
    better: int
    same: int


def compare_losses(pruned: Floats, dense: Floats) -> PairedLosses:
    """Student's paired t-test and interval for losses [windows] on the same windows, of which there must be at least
    two."""
    from scipy.special import stdtr, stdtrit

    differences = pruned - dense
    freedom = len(differences) - 1
    mean, error = float(differences.mean()), float(differences.std(ddof=1) / np.sqrt(len(differences)))
    half_width = float(stdtrit(freedom, (1 + CONFIDENCE) / 2)) * error
    # Without variance t is infinite (p = 0), or undefined if the mean is 0 too (p = 1).
    p = float(2 * stdtr(freedom, -abs(mean) / error)) if error > 0 else float(mean == 0)
    counts = [int(np.count_nonzero(flags)) for flags in (differences > 0, differences < 0, differences == 0)]
    return PairedLosses(mean, mean - half_width, mean + half_width, p, *counts)


def compare(rows: ArrayLike, newly_wrong: ArrayLike, newly_right: ArrayLike) -> Paired:
    """The statistics of pairs of models from their numbers of rows (> 0), of newly wrong and of newly right rows."""
    n, wrong, right = (np.asarray(counts, np.float64) for counts in (rows, newly_wrong, newly_right))
    low, high = tango_interval(n, wrong, right)
    return Paired((right - wrong) / n, low, high, mcnemar_exact(wrong, right))


def mcnemar_exact(newly_wrong: ArrayLike, newly_right: ArrayLike) -> Floats:
    """The two-sided p-value of McNemar's exact (binomial) test; 1 if no row changed."""
    from scipy.special import bdtr  # scipy.stats.binomtest is not vectorised

    wrong, right = np.asarray(newly_wrong, np.float64), np.asarray(newly_right, np.float64)
    p: Floats = np.minimum(1.0, 2 * bdtr(np.minimum(wrong, right), (wrong + right).astype(np.int64), 0.5))
    return p


def tango_interval(rows: ArrayLike, newly_wrong: ArrayLike, newly_right: ArrayLike) -> tuple[Floats, Floats]:
    """(low, high), the ends of Tango's 95 % interval of the difference (newly right - newly wrong) / rows, in [-1,
    1]."""
    n, wrong, right = (np.asarray(counts, np.float64) for counts in (rows, newly_wrong, newly_right))
    return -_upper_end(n, right, wrong), _upper_end(n, wrong, right)


def _upper_end(n: Floats, wrong: Floats, right: Floats) -> Floats:
    """The largest difference that the score test does not reject, by bisection: the statistic decreases as the
    difference grows."""
    from scipy.special import ndtri

    z = ndtri((1 + CONFIDENCE) / 2)
    low, high = (right - wrong) / n, np.ones_like(n)
    for _ in range(_HALVINGS):
        middle = (low + high) / 2
        kept = _score(n, wrong, right, middle) > -z
        low, high = np.where(kept, middle, low), np.where(kept, high, middle)
    return np.where(right == n, 1.0, low)


def _score(n: Floats, wrong: Floats, right: Floats, difference: Floats) -> Floats:
    """The score statistic of a hypothetical difference strictly between -1 and 1; standard normal if it is the true
    difference."""
    # The restricted maximum-likelihood estimate q of the share of newly wrong rows solves 2n q^2 + b q + c = 0.
    b = (2 * n - right + wrong) * difference - wrong - right
    c = -wrong * difference * (1 - difference)
    root = np.sqrt(np.maximum(b * b - 8 * n * c, 0.0))
    # Two equal forms of the root; the one is used that avoids cancellation.
    with np.errstate(divide="ignore", invalid="ignore"):
        q = np.where(b > 0, np.where(c == 0, 0.0, -2 * c / (b + root)), (root - b) / (4 * n))
    variance = n * (2 * q + difference * (1 - difference))
    with np.errstate(divide="ignore", invalid="ignore"):
        score: Floats = np.where(variance > 0, (right - wrong - n * difference) / np.sqrt(variance), -np.inf)
    return score


def benjamini_hochberg(p: ArrayLike) -> Floats:
    """The adjusted p-values (q) of a family of tests: the tests with q <= 0.05 are significant at a false discovery
    rate of 5 %.

    Benjamini and Hochberg, Journal of the Royal Statistical Society B 57, 1995. Equal to SciPy's
    `false_discovery_control`, which is not used because importing scipy.stats takes seconds, too long for a page.
    """
    values = np.asarray(p, np.float64)
    order = np.argsort(values, kind="stable")[::-1]
    ranks = np.arange(len(values), 0, -1)
    q = np.empty_like(values)
    q[order] = np.minimum(1.0, np.minimum.accumulate(values[order] * len(values) / ranks))
    return q
