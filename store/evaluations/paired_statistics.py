"""A pruned model beside its dense one on the same rows: what pruning changed, and whether chance could have.

    newly wrong    right in dense, wrong when pruned                difference = (newly right - newly wrong) / rows
    newly right    wrong in dense, right when pruned

The interval of the difference is Tango's (Equivalence test and confidence interval for the difference in proportions
for the paired-sample design, Statistics in Medicine 17, 1998): all differences that the score test does not reject,
with the nuisance parameter at its restricted maximum-likelihood estimate. It holds its coverage at few rows and at few
changed ones, where Wald's interval collapses (Fagerland, Lydersen, Laake, Statistics in Medicine 33, 2014). p is
McNemar's, exact and two-sided: whether a changed row is as likely to be newly wrong as newly right. The exact test is
the more careful of the two: close to the border the interval may leave zero out where p is above 0.05.

Losses on the same windows of text are compared by Student's paired t: how hard a window is counts for both models and
falls out of their difference. Windows of one text are taken for independent draws; neighbours are somewhat alike, so
the interval is a little too narrow.

The functions for rows take arrays and work on all of them at once.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

CONFIDENCE = 0.95
_HALVINGS = 60
"""An interval of length 2 shrinks to less than the spacing of floats around it."""

Floats = NDArray[np.float64]


@dataclass(frozen=True)
class Paired:
    """For each pair of models: pruned minus dense accuracy, its 95 % interval, McNemar's exact p."""

    difference: Floats
    low: Floats
    high: Floats
    p: Floats


@dataclass(frozen=True)
class PairedLosses:
    """A pruned model's windows beside the dense one's: the mean of pruned minus dense loss (nats a token), its 95 %
    interval, the p of no difference, and how many windows are worse, better and the same."""

    difference: float
    low: float
    high: float
    p: float
    worse: int
    better: int
    same: int


def compare_losses(pruned: Floats, dense: Floats) -> PairedLosses:
    """Student's paired interval and test over the same windows, of which there are two or more."""
    from scipy.special import stdtr, stdtrit

    apart = pruned - dense
    freedom = len(apart) - 1
    mean, error = float(apart.mean()), float(apart.std(ddof=1) / np.sqrt(len(apart)))
    reach = float(stdtrit(freedom, (1 + CONFIDENCE) / 2)) * error
    # Windows that all differ by the same: nothing is left to chance.
    p = float(2 * stdtr(freedom, -abs(mean) / error)) if error > 0 else float(mean == 0)
    counts = [int(np.count_nonzero(flags)) for flags in (apart > 0, apart < 0, apart == 0)]
    return PairedLosses(mean, mean - reach, mean + reach, p, *counts)


def compare(rows: ArrayLike, newly_wrong: ArrayLike, newly_right: ArrayLike) -> Paired:
    """The statistics of pairs of models, each on its own `rows` (> 0)."""
    n, wrong, right = (np.asarray(counts, np.float64) for counts in (rows, newly_wrong, newly_right))
    low, high = tango_interval(n, wrong, right)
    return Paired((right - wrong) / n, low, high, mcnemar_exact(wrong, right))


def mcnemar_exact(newly_wrong: ArrayLike, newly_right: ArrayLike) -> Floats:
    """The two-sided p of McNemar's exact (binomial) test; 1 where nothing changed."""
    from scipy.special import bdtr  # scipy.stats' binomtest takes one pair at a time

    wrong, right = np.asarray(newly_wrong, np.float64), np.asarray(newly_right, np.float64)
    p: Floats = np.minimum(1.0, 2 * bdtr(np.minimum(wrong, right), (wrong + right).astype(np.int64), 0.5))
    return p


def tango_interval(rows: ArrayLike, newly_wrong: ArrayLike, newly_right: ArrayLike) -> tuple[Floats, Floats]:
    """(low, high) of the difference (newly right - newly wrong) / rows, in [-1, 1]."""
    n, wrong, right = (np.asarray(counts, np.float64) for counts in (rows, newly_wrong, newly_right))
    return -_upper_end(n, right, wrong), _upper_end(n, wrong, right)


def _upper_end(n: Floats, wrong: Floats, right: Floats) -> Floats:
    """The largest difference that the score test does not reject: the test falls as the difference grows."""
    from scipy.special import ndtri

    z = ndtri((1 + CONFIDENCE) / 2)
    low, high = (right - wrong) / n, np.ones_like(n)
    for _ in range(_HALVINGS):
        middle = (low + high) / 2
        kept = _score(n, wrong, right, middle) > -z
        low, high = np.where(kept, middle, low), np.where(kept, high, middle)
    return np.where(right == n, 1.0, low)


def _score(n: Floats, wrong: Floats, right: Floats, difference: Floats) -> Floats:
    """The score statistic of a supposed difference strictly between -1 and 1; standard normal where it is true."""
    # The share of newly wrong rows, q, has its maximum likelihood where 2n q^2 + b q + c = 0.
    b = (2 * n - right + wrong) * difference - wrong - right
    c = -wrong * difference * (1 - difference)
    root = np.sqrt(np.maximum(b * b - 8 * n * c, 0.0))
    # The same root written twice, so that two numbers of like size are never subtracted.
    with np.errstate(divide="ignore", invalid="ignore"):
        q = np.where(b > 0, np.where(c == 0, 0.0, -2 * c / (b + root)), (root - b) / (4 * n))
    variance = n * (2 * q + difference * (1 - difference))
    with np.errstate(divide="ignore", invalid="ignore"):
        score: Floats = np.where(variance > 0, (right - wrong - n * difference) / np.sqrt(variance), -np.inf)
    return score


def benjamini_hochberg(p: ArrayLike) -> Floats:
    """The adjusted p-values (q) of a family of tests: those with q <= 0.05 hold at a false discovery rate of 5 %.

    Benjamini and Hochberg, Journal of the Royal Statistical Society B 57, 1995. The same as SciPy's
    `false_discovery_control`, which a page cannot wait for: importing scipy.stats takes seconds, and a server needs
    nothing else of it.
    """
    values = np.asarray(p, np.float64)
    order = np.argsort(values, kind="stable")[::-1]
    ranks = np.arange(len(values), 0, -1)
    q = np.empty_like(values)
    q[order] = np.minimum(1.0, np.minimum.accumulate(values[order] * len(values) / ranks))
    return q
