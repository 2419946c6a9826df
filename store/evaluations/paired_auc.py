"""The difference of the AUCs of a pruned model and its dense model on the same rows of a task with fixed labels.

The 95 % interval is a percentile bootstrap over the rows: both models are measured on the same resampled rows, so what
makes a row hard for both cancels out. Rows are drawn within each right label, so that every resample has all labels, as
often as the task has them. p is two-sided, by DeLong's test of two correlated AUCs (Biometrics 44, 1988): the interval
cannot resolve the small p-values that a correction for many tests needs.
"""

import math
from dataclasses import dataclass

import numpy as np

from prunescope.store.evaluations.labels import Floats, Ints, margins, placements, standard_error

RESAMPLES = 1000
_AT_ONCE = 4_000_000
"""Maximum number of weights in memory."""


@dataclass(frozen=True)
class PairedAuc:
    """Pruned minus dense AUC, its 95 % interval, and the two-sided p-value of no difference."""

    difference: float
    low: float
    high: float
    p: float


def compare_auc(pruned: Floats, dense: Floats, right: Ints) -> PairedAuc | None:
    """Compare the scores [rows, labels] of two models on rows with these right labels [rows]. None if a label is right
    in a single row, of which no other one could be drawn."""
    (value, of_pruned), (before, of_dense) = placements(pruned, right), placements(dense, right)
    error = standard_error(of_pruned - of_dense, right)
    if error is None:
        return None
    difference = value - before
    drawn = _resampled_differences(pruned, dense, right)
    low, high = np.percentile(drawn, [2.5, 97.5]).tolist()
    # Without variance the statistic is infinite (p = 0), or undefined if the difference is 0 too (p = 1).
    p = math.erfc(abs(difference) / error / math.sqrt(2)) if error > 0 else float(difference == 0)
    return PairedAuc(difference, low, high, p)


def _resampled_differences(pruned: Floats, dense: Floats, right: Ints) -> Floats:
    rng = np.random.default_rng(0)
    drawn = []
    for done in range(0, RESAMPLES, step := max(1, _AT_ONCE // len(right))):
        weights = resampling_weights(right, min(step, RESAMPLES - done), rng)
        drawn.append(weighted_auc(pruned, right, weights) - weighted_auc(dense, right, weights))
    return np.concatenate(drawn)


def resampling_weights(right: Ints, count: int, rng: np.random.Generator) -> Ints:
    """How often each row is in each of `count` resamples [count, rows] that keep the number of rows of each right
    label."""
    weights = np.zeros((count, len(right)), np.int64)
    for label in np.unique(right):
        rows = np.flatnonzero(right == label)
        drawn = rng.integers(len(rows), size=(count, len(rows))) + len(rows) * np.arange(count)[:, None]
        weights[:, rows] = np.bincount(drawn.ravel(), minlength=count * len(rows)).reshape(count, len(rows))
    return weights


def weighted_auc(scores: Floats, right: Ints, weights: Ints) -> Floats:
    """The AUC [resamples] of scores [rows, labels], with each row counted as often as `weights` [resamples, rows] say.
    The weights of each right label add up to at least 1."""
    present = np.unique(right)
    total = np.zeros(len(weights))
    # Of two labels both have the same AUC.
    labels = present[1:] if scores.shape[1] == 2 else present
    for label in labels:
        margin, positive = margins(scores, int(label)), right == label
        behind = np.flatnonzero(~positive)
        behind = behind[np.argsort(margin[behind], kind="stable")]
        below = np.zeros((len(weights), len(behind) + 1))
        np.cumsum(weights[:, behind], axis=1, out=below[:, 1:])
        low, high = (np.searchsorted(margin[behind], margin[positive], side) for side in ("left", "right"))
        ahead = weights[:, positive]
        pairs = (ahead * (below[:, low] + below[:, high])).sum(axis=1) / 2
        total += pairs / (ahead.sum(axis=1) * below[:, -1])
    return total / len(labels)
