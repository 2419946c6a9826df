"""How many of one ranking's best are among another's best, and how many chance would put there.

Two rankings that know nothing of each other choose `first` and `second` of the same `population`; how many they have
in common is hypergeometric. Where each chooses in several layers, the number in common over all of them is the sum of
independent hypergeometric numbers, whose exact distribution is their convolution. Nothing is approximated, and SciPy,
which the server has not, is not needed: neighbouring probabilities have a simple ratio, and all of them add up to one.

    chance(population, first, second)   the distribution of the number in common
    together(parts)                     the same over several layers
    spearman(first, second)             the rank correlation, and how far from zero chance takes it
"""

from collections.abc import Iterable
from dataclasses import dataclass
from math import sqrt

import numpy as np
from numpy.typing import NDArray

CONFIDENCE = 0.95
NORMAL_QUANTILE = 1.959963984540054  # of (1 + CONFIDENCE) / 2

Floats = NDArray[np.float64]


@dataclass(frozen=True)
class Chance:
    """How many two choices have in common by chance: `probabilities[i]` is that of `least + i`."""

    least: int
    probabilities: Floats

    @property
    def mean(self) -> float:
        """The number of shared neurons expected by chance."""
        return self.least + float(np.arange(len(self.probabilities)) @ self.probabilities)

    @property
    def interval(self) -> tuple[int, int]:
        """(low, high): less than `low` and more than `high` each have a probability of at most 2.5 %."""
        tail = (1 - CONFIDENCE) / 2
        below = np.cumsum(self.probabilities)
        above = np.cumsum(self.probabilities[::-1])
        low = int(np.searchsorted(below, tail, side="right"))
        high = len(above) - 1 - int(np.searchsorted(above, tail, side="right"))
        return self.least + low, self.least + high

    def at_least(self, count: int) -> float:
        """P(overlap >= `count`) if both rankings were drawn at random: the exact one-sided p-value."""
        if count <= self.least:
            return 1.0
        return min(1.0, float(self.probabilities[count - self.least :][::-1].sum()))


def chance(population: int, first: int, second: int) -> Chance:
    """The hypergeometric distribution of what choices of `first` and of `second` among `population` share.

    Raises ValueError unless 0 <= first, second <= population.
    """
    if not (0 <= first <= population and 0 <= second <= population):
        raise ValueError(f"{first} and {second} cannot be chosen among {population}")
    least, most = max(0, first + second - population), min(first, second)
    shared = np.arange(least, most, dtype=np.float64)
    rise = np.log((first - shared) * (second - shared))
    fall = np.log((shared + 1) * (population - first - second + shared + 1))
    logarithms = np.concatenate([[0.0], np.cumsum(rise - fall)])
    weights = np.exp(logarithms - logarithms.max())
    return Chance(least, weights / weights.sum())


def together(parts: Iterable[Chance]) -> Chance:
    """The distribution of the sum of independent numbers."""
    least, probabilities = 0, np.ones(1)
    for part in sorted(parts, key=lambda part: len(part.probabilities)):
        least += part.least
        probabilities = np.convolve(probabilities, part.probabilities)
    return Chance(least, probabilities)


def spearman(first: Floats, second: Floats) -> tuple[float, float] | None:
    """(Spearman's rank correlation, half of the 95 % range of chance); equal values share their mean rank.

    Whatever the ties, the correlation with a random order has the variance 1 / (n - 1). None for fewer than three
    values, and where one side's are all equal.
    """
    if len(first) < 3:
        return None
    ranks = [_mean_ranks(values) for values in (first, second)]
    centred = [rank - rank.mean() for rank in ranks]
    lengths = [sqrt(float(rank @ rank)) for rank in centred]
    if not all(lengths):
        return None
    rho = float(centred[0] @ centred[1]) / (lengths[0] * lengths[1])
    return max(-1.0, min(1.0, rho)), NORMAL_QUANTILE / sqrt(len(first) - 1)


def _mean_ranks(values: Floats) -> Floats:
    _, place, counts = np.unique(values, return_inverse=True, return_counts=True)
    ends = np.cumsum(counts)
    ranks: Floats = (ends - (counts - 1) / 2)[place.ravel()]
    return ranks
