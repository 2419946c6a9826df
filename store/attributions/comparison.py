"""Compares the rankings of two attributions of one model: the number of top neurons that they share, and the rank
correlation.

    Top                 the number of neurons that are top neurons: a number (`50`) or a share (`5%`)
    Comparison          two rankings of the neurons that both attributions rank
      over_all(top)     overlap of the best of all layers, tested against draws from all neurons and within layers
      by_layer(top)     overlap of the best of each layer, and over all layers
      shared(top)       the shared neurons, best first
      correlation(...)  rank correlation of all Scores

Neurons that only one attribution ranks are ignored: k of n means k among the n neurons that both rank. A neuron with a
Score of zero is never a top neuron, since all neurons that are not active on any influential word are tied at zero.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple, Self

import numpy as np
from numpy.typing import NDArray

from prunescope.store.attributions.overlap import Chance, Floats, chance, spearman, together
from prunescope.store.evaluations.paired_statistics import benjamini_hochberg

Bools = NDArray[np.bool_]


@dataclass(frozen=True)
class Top:
    """The size of a set of top neurons: `count` neurons, or the `share` of a population (rounded up). Exactly one of
    them is given."""

    count: int | None = None
    share: float | None = None

    @classmethod
    def parse(cls, text: str) -> Self:
        """Parse `50` or `5%`. Raises ValueError, whose message says what is allowed."""
        number = text.strip().removesuffix("%").strip()
        try:
            if text.strip().endswith("%"):
                share = float(number) / 100
                if not 0 < share <= 1:  # also true for NaN
                    raise ValueError
                return cls(share=share)
            count = int(number)
            if not 1 <= count <= 10**9:
                raise ValueError
            return cls(count=count)
        except ValueError:
            raise ValueError(f"{text[:40]!r} is no number of neurons such as 50, and no share such as 5%") from None

    def of(self, population: int) -> int:
        """The number of top neurons in a population of this size."""
        if self.count is not None:
            return min(self.count, population)
        # Rounded first, because 0.05 x 100 is slightly more than 5 in floating point, which would give 6.
        return min(population, math.ceil(round((self.share or 0.0) * population, 9)))

    def __str__(self) -> str:
        return str(self.count) if self.count is not None else f"{100 * (self.share or 0.0):.10g}%"


@dataclass(frozen=True)
class Overlap:
    """The overlap of two sets of `first` and `second` neurons from the same `population`, which share `shared` neurons.
    If the sets were independent, they would share `expected` neurons on average, `low` to `high` in 95 % of cases, and
    at least `shared` with probability `p`."""

    first: int
    second: int
    population: int
    shared: int
    expected: float
    low: int
    high: int
    p: float


@dataclass(frozen=True)
class OverAll:
    """The overlap of the top neurons of all layers, under two null hypotheses. `anywhere`: neurons are drawn from all
    layers. `in_layers`: as many neurons of each layer are drawn as are top neurons, so that agreement in the choice of
    layers alone is not significant."""

    top: Top
    anywhere: Overlap
    in_layers: Overlap


@dataclass(frozen=True)
class Correlation:
    """Spearman's rank correlation over `neurons` neurons. Under random permutation it is between `-chance` and `chance`
    in 95 % of cases."""

    value: float
    chance: float
    neurons: int


@dataclass(frozen=True)
class LayerOverlap:
    """The overlap of the top neurons of one layer. `q` is its p-value after Benjamini-Hochberg over the layers."""

    layer: int
    overlap: Overlap
    q: float
    correlation: Correlation | None


class Comparison:
    """The comparison of two attributions by their Scores [layers, neurons] (NaN: not ranked), in `layers`, the layers
    that both have recorded."""

    def __init__(self, first: NDArray[np.floating], second: NDArray[np.floating], layers: Sequence[int]) -> None:
        self.layers = list(layers)
        self._scores = tuple(np.asarray(scores[self.layers], np.float64) for scores in (first, second))
        self._both = np.isfinite(self._scores[0]) & np.isfinite(self._scores[1])

    @property
    def population(self) -> int:
        """The number of neurons that both attributions rank."""
        return int(self._both.sum())

    def over_all(self, top: Top) -> OverAll:
        """The overlap of the top neurons of all layers."""
        first, second = (self._best(scores, self._both, top) for scores in self._scores)
        sizes = [_size(*layer) for layer in zip(self._both, first, second, strict=True)]
        whole = _size(self._both, first, second)
        shared = int((first & second).sum())
        return OverAll(
            top,
            anywhere=_overlap(whole, shared, chance(*whole)),
            in_layers=_overlap(whole, shared, together(chance(*size) for size in sizes)),
        )

    def by_layer(self, top: Top) -> tuple[list[LayerOverlap], Overlap]:
        """(overlap of the top neurons of each layer, their total over all layers); the top neurons are chosen within
        each layer."""
        best = [self._best_of_layer(place, top) for place in range(len(self.layers))]
        sizes = [_size(both, *pair) for both, pair in zip(self._both, best, strict=True)]
        shared = [int((first & second).sum()) for first, second in best]
        chances = [chance(*size) for size in sizes]
        overlaps = [_overlap(*each) for each in zip(sizes, shared, chances, strict=True)]
        q = benjamini_hochberg([overlap.p for overlap in overlaps])
        rows = [
            LayerOverlap(layer, overlap, float(adjusted), self.correlation(layer))
            for layer, overlap, adjusted in zip(self.layers, overlaps, q, strict=True)
        ]
        whole = _Size(*(sum(counts) for counts in zip(*sizes, strict=True)))
        return rows, _overlap(whole, sum(shared), together(chances))

    def shared(self, top: Top) -> list[tuple[int, int]]:
        """(layer, neuron) of the neurons that are top neurons of their layer in both attributions, sorted by the sum of
        their positions in the two rankings over all layers."""
        found = np.zeros_like(self._both)
        for place in range(len(self.layers)):
            first, second = self._best_of_layer(place, top)
            found[place] = first & second
        positions = self._positions(self._scores[0]) + self._positions(self._scores[1])
        chosen = np.flatnonzero(found.ravel())
        order = chosen[np.argsort(positions[chosen], kind="stable")]
        neurons = self._both.shape[1]
        return [(self.layers[int(at) // neurons], int(at) % neurons) for at in order]

    def correlation(self, layer: int | None = None) -> Correlation | None:
        """The rank correlation of the Scores of the neurons that both attributions rank, in `layer` (None: in all).
        None if it is undefined (fewer than three neurons, or all Scores equal)."""
        rows = slice(None) if layer is None else self.layers.index(layer)
        both = self._both[rows]
        found = spearman(*(scores[rows][both] for scores in self._scores))
        return None if found is None else Correlation(*found, neurons=int(both.sum()))

    def _best_of_layer(self, place: int, top: Top) -> tuple[Bools, Bools]:
        both = self._both[place]
        first, second = (self._best(scores[place], both, top) for scores in self._scores)
        return first, second

    @staticmethod
    def _best(scores: Floats, both: Bools, top: Top) -> Bools:
        """Mask of the top neurons among those that both attributions rank. Ties are broken by index."""
        order = np.argsort(-np.where(both, scores, -np.inf).ravel(), kind="stable")[: top.of(int(both.sum()))]
        best = np.zeros(both.size, np.bool_)
        best[order] = scores.ravel()[order] > 0
        return best.reshape(both.shape)

    def _positions(self, scores: Floats) -> NDArray[np.int64]:
        """The position (from 0) of each neuron in the ranking over all layers; neurons that not both attributions rank
        come last."""
        order = np.argsort(-np.where(self._both, scores, -np.inf).ravel(), kind="stable")
        positions = np.empty(order.size, np.int64)
        positions[order] = np.arange(order.size)
        return positions


class _Size(NamedTuple):
    population: int
    first: int
    second: int


def _size(both: Bools, first: Bools, second: Bools) -> _Size:
    return _Size(int(both.sum()), int(first.sum()), int(second.sum()))


def _overlap(size: _Size, shared: int, by_chance: Chance) -> Overlap:
    low, high = by_chance.interval
    return Overlap(
        size.first, size.second, size.population, shared, by_chance.mean, low, high, by_chance.at_least(shared)
    )
