"""What a model says on a task with fixed labels: how often it says each label, and how well it tells them apart.

A task has fixed labels if all rows have the same choices (negative and positive in sst2). Its accuracy mixes two
things: how well the scores order the rows (the content), and how often each label is said (the label prior). A pruned
model that says "positive" in every row has the accuracy of the share of positive rows, whatever it knows.

    margin of a label     its score minus the highest other score of the row, in nats
    AUC                   probability that the margin of a label is higher in a row where it is right than in one where
                          it is wrong; equal margins count half. The mean over the labels that are right in any row;
                          for two labels both have the same AUC, that of log p(B) - log p(A)
    prior shift           half the sum over labels of |share of rows in which it is said - share in which it is right|
    adjusted accuracy     accuracy if a constant is added to the scores of each label, such that each label is said as
                          often as it is right. The constants remove any shift towards one label

The interval of the AUC is DeLong's (DeLong, DeLong, Clarke-Pearson, Biometrics 44, 1988), computed on the logit scale
(Qin and Hotilovac, Statistical Methods in Medical Research 17, 2008), which keeps it within 0 and 1. For more than two
labels, the placements of a row for all labels are added up before the variance within each right label is computed.
"""

import math
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from prunescope.store.evaluations.values import Interval, LabelShare, LabelValues

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]

MAX_LABELS = 16
Z95 = 1.959963984540054
"""The 97.5 % quantile of the normal distribution."""


class LabelScores(NamedTuple):
    """The answers on a task with fixed labels: `scores` [rows, labels], and the index of the right label [rows]."""

    scores: Floats
    right: Ints


def label_scores(examples: Sequence[Mapping[str, Any]]) -> LabelScores | None:
    """The scores of the examples of a task (those of `evaluation.json`). None if the task has no fixed labels: the
    choices differ between rows, or are more than MAX_LABELS, or only one of them is ever right; or if a score is not
    finite."""
    if not examples:
        return None
    choices = examples[0]["choices"]
    if not 2 <= len({*_names(choices)}) == len(choices) <= MAX_LABELS:
        return None
    if any(row["choices"] != choices for row in examples):
        return None
    scores = np.array([row["scores"] for row in examples], np.float64)
    right = np.array([row["answer"] for row in examples], np.int64)
    if len(np.unique(right)) < 2 or not np.isfinite(scores).all():
        return None
    return LabelScores(scores, right)


def label_values(examples: Sequence[Mapping[str, Any]]) -> LabelValues | None:
    """The label values of the examples of a task (those of `evaluation.json`); None if it has no `label_scores`."""
    found = label_scores(examples)
    if found is None:
        return None
    labels = _names(examples[0]["choices"])
    said = np.array([row["chosen"] for row in examples], np.int64)
    counts = (np.bincount(each, minlength=len(labels)).tolist() for each in (said, found.right))
    value, interval = auc(*found)
    return LabelValues(
        shares=tuple(
            LabelShare(label, some / len(examples), all_ / len(examples))
            for label, some, all_ in zip(labels, *counts, strict=True)
        ),
        rows=len(examples),
        auc=value,
        auc_interval=interval,
        adjusted=adjusted_accuracy(*found),
    )


def _names(choices: Sequence[str]) -> list[str]:
    return [str(choice).strip() for choice in choices]


def auc(scores: Floats, answers: Ints) -> tuple[float, Interval | None]:
    """The AUC of scores [rows, labels] for right answers [rows] of at least two labels, and its 95 % interval: None if
    the AUC is 0 or 1 or a label is right in a single row, where the variance cannot be estimated."""
    value, influence = placements(scores, answers)
    error = standard_error(influence, answers)
    if not 0 < value < 1 or error is None:
        return value, None
    middle, half = math.log(value / (1 - value)), Z95 * error / (value * (1 - value))
    return value, (_logistic(middle - half), _logistic(middle + half))


def placements(scores: Floats, answers: Ints) -> tuple[float, Floats]:
    """The AUC of scores [rows, labels], and each row's part of its variance [rows]: the placements of the row for all
    labels, divided by the numbers of rows and labels over which the AUC is a mean."""
    total, influence = 0.0, np.zeros(len(scores))
    present = np.unique(answers)
    for label in present:
        margin = margins(scores, int(label))
        positive = answers == label
        ahead, behind = np.sort(margin[positive]), np.sort(margin[~positive])
        # Placements: for a row with the label, the share of the other rows below it; for another row, of those above.
        of_positive = _share_below(behind, margin[positive])
        of_negative = 1 - _share_below(ahead, margin[~positive])
        total += of_positive.mean()
        influence[positive] += of_positive / len(ahead)
        influence[~positive] += of_negative / len(behind)
    return float(total / len(present)), influence / len(present)


def standard_error(influence: Floats, answers: Ints) -> float | None:
    """DeLong's standard error of an AUC, or of the difference of two on the same rows, from (the difference of) their
    `placements` [rows]. None if a label is right in a single row."""
    groups = [influence[answers == label] for label in np.unique(answers)]
    if min(map(len, groups)) < 2:
        return None
    return math.sqrt(sum(len(group) * group.var(ddof=1) for group in groups))


def margins(scores: Floats, label: int) -> Floats:
    """The margin of a label in every row."""
    margin: Floats = scores[:, label] - np.delete(scores, label, axis=1).max(axis=1)
    return margin


def _logistic(x: float) -> float:
    return 1 / (1 + math.exp(-x)) if x >= 0 else math.exp(x) / (1 + math.exp(x))


def _share_below(ordered: Floats, values: Floats) -> Floats:
    """The share of the sorted numbers below each value; equal numbers count half."""
    low, high = np.searchsorted(ordered, values, "left"), np.searchsorted(ordered, values, "right")
    shares: Floats = (low + high) / (2 * len(ordered))
    return shares


def adjusted_accuracy(scores: Floats, answers: Ints) -> float:
    """The accuracy on scores [rows, labels] if each label is said in as many rows as it is right in (`answers` [rows]),
    by constants added to the scores of each label. Rows that tie at the threshold between two labels count by the mean
    over all of their orders; of more than two labels, ties are broken by the order of rows."""
    right = np.bincount(answers, minlength=scores.shape[1])
    if scores.shape[1] > 2:
        return float(np.mean(_said_as_often(scores, right) == answers))
    margin, number = scores[:, 1] - scores[:, 0], int(right[1])
    threshold = np.sort(margin)[len(margin) - number] if number else math.inf
    above, tied, positive = margin > threshold, margin == threshold, answers == 1
    count, chosen, some = int(tied.sum()), number - int(above.sum()), int((tied & positive).sum())
    correct = float((above & positive).sum() + (~above & ~tied & ~positive).sum())
    if count:
        correct += (chosen * some + (count - chosen) * (count - some)) / count
    return correct / len(margin)


def _said_as_often(scores: Floats, wanted: Ints) -> Ints:
    """The labels [rows] with the largest sum of scores [rows, labels] among all in which each label has the `wanted`
    number of rows: the solution of a transport problem, whose dual variables are the constants added to the scores.

    Solved by successive shortest paths: from the label with the highest score in each row, one row at a time is moved
    along the cheapest chain of labels from one that is said too often to one that is said too rarely.
    """
    labels = scores.shape[1]
    said: Ints = scores.argmax(axis=1).astype(np.int64)
    while True:
        surplus = np.bincount(said, minlength=labels) - wanted
        if not surplus.any():
            return said
        cost, row = np.full((labels, labels), np.inf), np.zeros((labels, labels), np.int64)
        for label in range(labels):
            rows = np.flatnonzero(said == label)
            if len(rows):
                loss = scores[rows, label][:, None] - scores[rows]
                row[label], cost[label] = rows[loss.argmin(axis=0)], loss.min(axis=0)
        np.fill_diagonal(cost, np.inf)
        distance, before = np.where(surplus > 0, 0.0, np.inf), np.full(labels, -1)
        for _ in range(labels - 1):
            step = distance[:, None] + cost
            # A relative margin, so that rounding does not close a chain of labels into a circle.
            better = step.min(axis=0) < distance - 1e-12 * np.abs(scores).max()
            before[better], distance = step.argmin(axis=0)[better], np.where(better, step.min(axis=0), distance)
        label = int(np.where(surplus < 0, distance, np.inf).argmin())
        while before[label] >= 0:
            said[row[before[label], label]] = label
            label = int(before[label])
