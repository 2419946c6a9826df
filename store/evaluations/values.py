"""Values: what an evaluation found on a task, and a pruned model beside its dense one there."""

import sys
from math import exp, log
from typing import Literal, NamedTuple

Measure = Literal["accuracy", "perplexity"]
ACCURACY: Measure = "accuracy"
PERPLEXITY: Measure = "perplexity"

Interval = tuple[float, float]

_MAX_NATS = log(sys.float_info.max)


def perplexity(nats: float) -> float:
    """What a loss in nats a token is as a perplexity, a difference of losses as a ratio: the largest number there is
    where it is beyond all, as the end of a broken model's interval can be."""
    return exp(min(nats, _MAX_NATS))


def telling_majority(share: float | None) -> float | None:
    """The accuracy of always giving the most frequent right answer; None where it is 1. Then the right choice stands in
    the same place in every row (in sciq's files always first), or there is one row: no answer is more frequent than
    another, and a model is not to be held against it."""
    return None if share is None or share >= 1 else share


class Measurement(NamedTuple):
    """What an evaluation found on one task or text; `low` and `high` are the ends of its 95 % interval (Wilson's of an
    accuracy, Student's of a perplexity)."""

    value: float
    low: float | None
    high: float | None
    rows: int | None
    chance: float | None
    majority: float | None

    @property
    def interval(self) -> Interval | None:
        """(low, high)."""
        return None if self.low is None or self.high is None else (self.low, self.high)


class Pairing(NamedTuple):
    """A pruned model beside its dense one on the same rows of a task.

    `difference` is pruned minus dense accuracy, `low` and `high` are the ends of its 95 % interval (Tango's), `p` is
    McNemar's, exact and two-sided. Of a perplexity: windows for rows, the difference of losses in nats a token with
    Student's paired interval and p, windows that the pruned model predicts worse (`newly_wrong`), better
    (`newly_right`) and the same (`both_right`).
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
        """(low, high)."""
        return self.low, self.high

    @property
    def both_wrong(self) -> int:
        """Rows that neither had right."""
        return self.rows - self.both_right - self.newly_wrong - self.newly_right
