"""The values of a measurement, and of the comparison of a pruned model with its dense model on one task or text."""

import sys
from math import exp, log, sqrt
from typing import Any, Literal, NamedTuple

Measure = Literal["accuracy", "perplexity", "auc", "prior", "adjusted"]
ACCURACY: Measure = "accuracy"
PERPLEXITY: Measure = "perplexity"
AUC: Measure = "auc"
PRIOR: Measure = "prior"
ADJUSTED: Measure = "adjusted"
OF_LABELS = (AUC, PRIOR, ADJUSTED)
"""Measures of tasks with fixed labels: AUC, prior shift and adjusted accuracy (`store/evaluations/labels.py`)."""

Interval = tuple[float, float]

_MAX_NATS = log(sys.float_info.max)


def perplexity(nats: float) -> float:
    """exp(nats): the perplexity of a loss in nats per token, or the ratio of perplexities of a difference of losses. If
    that overflows, as the end of a broken model's interval may, the largest finite float."""
    return exp(min(nats, _MAX_NATS))


def telling_majority(share: float | None) -> float | None:
    """`share`, the accuracy of always giving the most frequent correct answer; None if it is 1, which makes it useless
    as a baseline. The correct choice then has the same position in every row (always the first in sciq), or there is
    only one row."""
    return None if share is None or share >= 1 else share


class Measurement(NamedTuple):
    """An accuracy on a task, or a perplexity on a text. `low` and `high` are the ends of the 95 % interval (Wilson's
    for an accuracy, Student's for a perplexity). `rows` are rows of the task or predicted tokens of the text. `chance`
    and `majority` are the accuracies of random guessing and of always giving the most frequent correct answer; None for
    a perplexity."""

    value: float
    low: float | None
    high: float | None
    rows: int | None
    chance: float | None
    majority: float | None

    @property
    def interval(self) -> Interval | None:
        """(low, high): the 95 % confidence interval; None if it is not known."""
        return None if self.low is None or self.high is None else (self.low, self.high)


class Pairing(NamedTuple):
    """The comparison of a pruned model with its dense model on the same rows of a task.

    `difference` is pruned minus dense accuracy, `low` and `high` are the ends of its 95 % interval (Tango's), `p` is
    the two-sided p-value of McNemar's exact test. For a perplexity, `rows` are windows, `difference` is that of losses
    in nats per token, with Student's paired interval and p, and `newly_wrong`, `newly_right` and `both_right` are the
    numbers of windows with a higher, lower and equal loss of the pruned model. For an AUC, `difference`, `low`, `high`
    and `p` are those of `store/evaluations/paired_auc.py`, and the numbers of rows are those of the accuracy.
    """

    dense_evaluation: str
    rows: int
    both_right: int
    newly_wrong: int
    newly_right: int
    difference: float
    low: float
    high: float
    p: float

    @property
    def interval(self) -> Interval:
        """(low, high): the 95 % confidence interval of the difference."""
        return self.low, self.high

    @property
    def both_wrong(self) -> int:
        """The number of rows that both models answered wrongly."""
        return self.rows - self.both_right - self.newly_wrong - self.newly_right


class LabelShare(NamedTuple):
    """A label of a task, and the shares (0 to 1) of rows in which the model said it and in which it is right."""

    label: str
    said: float
    right: float


class LabelValues(NamedTuple):
    """What a model says on a task with fixed labels (`store/evaluations/labels.py` defines the values)."""

    shares: tuple[LabelShare, ...]
    rows: int
    auc: float
    auc_interval: Interval | None
    adjusted: float

    @property
    def prior_shift(self) -> float:
        """Half the sum of the differences between the shares said and right: 0 if each label is said as often as it is
        right, and for two labels the share of rows in which one label is said too often."""
        return sum(abs(share.said - share.right) for share in self.shares) / 2

    def document(self) -> dict[str, Any]:
        """The values as JSON, in `evaluation.json`."""
        return {
            "shares": [share._asdict() for share in self.shares],
            "prior_shift": self.prior_shift,
            "auc": self.auc,
            "auc_interval": self.auc_interval,
            "adjusted_accuracy": self.adjusted,
        }


class PriorChange(NamedTuple):
    """How much of the difference in accuracy between a pruned and its dense model is a shift towards one label.

    `content` is the difference of the adjusted accuracies, `prior` the rest of `difference`. `label` is the label whose
    share said rose most, `mostly`: whether the shift explains at least half of the difference and is significant.
    """

    difference: float
    content: float
    prior: float
    label: str
    mostly: bool


SHIFTED = 2.5758293035489004
"""The 99.5 % quantile of the normal distribution: a label's share said has changed if its z is beyond it."""


def prior_change(pruned: LabelValues, accuracy: float, dense: LabelValues, before: float) -> PriorChange:
    """Compare the label values and accuracies of a pruned and its dense model on the same rows. The test of the shift
    is that of two independent proportions, which is conservative for the same rows."""
    difference, content = accuracy - before, pruned.adjusted - dense.adjusted
    changes = {mine.label: (mine.said, its.said) for mine, its in zip(pruned.shares, dense.shares, strict=True)}
    label, (said, was) = max(changes.items(), key=lambda change: change[1][0] - change[1][1])
    pooled = (said + was) / 2
    error = sqrt(pooled * (1 - pooled) * 2 / pruned.rows)
    shifted = error > 0 and (said - was) / error >= SHIFTED
    prior = difference - content
    mostly = shifted and difference != 0 and prior / difference >= 0.5
    return PriorChange(difference, content, prior, label, mostly)
