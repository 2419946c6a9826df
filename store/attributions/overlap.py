"""The number of top neurons that two rankings share, and its distribution under the null hypothesis of independence.

If independent rankings choose `first` and `second` neurons of the same `population`, the number of shared neurons is
hypergeometric. If each chooses in several layers, the total number is a sum of independent hypergeometric numbers,
whose distribution is the convolution of theirs. The distributions are exact. They are computed without SciPy, which the
server does not have, from the ratio of consecutive probabilities and their sum of one.

    chance(population, first, second)   the distribution of the number of shared neurons
    together(parts)                     the distribution of the total over several layers
    spearman(first, second)             the rank correlation, and its 95 % interval under independence
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
    """The distribution of the number of shared neurons of two independent choices: `probabilities[i]` is the
    probability of `least + i`."""

    least: int
    probabilities: Floats

    @property
    def mean(self) -> float:
        """The expected number of shared neurons."""
        return self.least + float(np.arange(len(self.probabilities)) @ self.probabilities)

    @property
    def interval(self) -> tuple[int, int]:
        """(low, high), the central 95 % interval: numbers below `low` have a probability of at most 2.5 %, and so have
        numbers above `high`."""
        tail = (1 - CONFIDENCE) / 2
        below = np.cumsum(self.probabilities)
        above = np.cumsum(self.probabilities[::-1])
        low = int(np.searchsorted(below, tail, side="right"))
        high = len(above) - 1 - int(np.searchsorted(above, tail, side="right"))
        return self.least + low, self.least + high

    def at_least(self, count: int) -> float:
        """P(number of shared neurons >= `count`): the exact one-sided p-value."""
        if count <= self.least:
            return 1.0
        return min(1.0, float(self.probabilities[count - self.least :][::-1].sum()))


def chance(population: int, first: int, second: int) -> Chance:
    """The hypergeometric distribution of the number of shared neurons of independent choices of `first` and of `second`
    neurons from the same `population`.

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
    """The distribution of the sum of independent numbers: the convolution of their distributions."""
    least, probabilities = 0, np.ones(1)
    for part in sorted(parts, key=lambda part: len(part.probabilities)):
        least += part.least
        probabilities = np.convolve(probabilities, part.probabilities)
    return Chance(least, probabilities)


def spearman(first: Floats, second: Floats) -> tuple[float, float] | None:
    """(Spearman's rank correlation rho, half-width of the 95 % interval of rho under random permutation). Ties get
    their average rank.

    Under random permutation rho has the variance 1 / (n - 1), with or without ties; the half-width is that of a normal
    distribution. None for fewer than three values, or if all values of one sequence are equal.
    """
    if len(first) < 3:
        return None
    ranks = [_average_ranks(values) for values in (first, second)]
    centred = [rank - rank.mean() for rank in ranks]
    lengths = [sqrt(float(rank @ rank)) for rank in centred]
    if not all(lengths):
        return None
    rho = float(centred[0] @ centred[1]) / (lengths[0] * lengths[1])
    return max(-1.0, min(1.0, rho)), NORMAL_QUANTILE / sqrt(len(first) - 1)


def _average_ranks(values: Floats) -> Floats:
    """Ranks from 1 in ascending order; ties get their average rank."""
    _, place, counts = np.unique(values, return_inverse=True, return_counts=True)
    ends = np.cumsum(counts)
    ranks: Floats = (ends - (counts - 1) / 2)[place.ravel()]
    return ranks
