"""The values of a measurement, and of the comparison of a pruned model with its dense model on one task or text."""

import sys
from math import exp, log
from typing import Literal, NamedTuple

Measure = Literal["accuracy", "perplexity"]
ACCURACY: Measure = "accuracy"
PERPLEXITY: Measure = "perplexity"

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
    numbers of windows with a higher, lower and equal loss of the pruned model.
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
