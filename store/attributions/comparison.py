"""Do the same neurons come out on top in two attributions of one model?

    Top                 how many of a layer, or of all layers, count as top: a number (`50`) or a share (`5%`)
    Comparison          two rankings over the neurons that both of them rank
      over_all(top)     the best of all layers, against chance among all neurons and against chance within the layers
      by_layer(top)     the best of each layer, and all layers' together
      shared(top)       who they are, best first
      correlation(...)  of all Scores, whoever is on top

A neuron that only one of the two ranks cannot be shared, so it counts in neither: k of n means k among the n that both
rank. A Score of zero is no place in a ranking (neurons that never fire on a word all have it), so it is never on top.
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
    """The best `count` of a population, or `share` of it (rounded up); exactly one of them is given."""

    count: int | None = None
    share: float | None = None

    @classmethod
    def parse(cls, text: str) -> Self:
        """Read `50` or `5%`; raises ValueError, saying what is allowed."""
        number = text.strip().removesuffix("%").strip()
        try:
            if text.strip().endswith("%"):
                share = float(number) / 100
                if not 0 < share <= 1:  # and NaN
                    raise ValueError
                return cls(share=share)
            count = int(number)
            if not 1 <= count <= 10**9:
                raise ValueError
            return cls(count=count)
        except ValueError:
            raise ValueError(f"{text[:40]!r} is no number of neurons such as 50, and no share such as 5%") from None

    def of(self, population: int) -> int:
        """How many neurons of a population that is."""
        if self.count is not None:
            return min(self.count, population)
        # Not 6 of 100 for 5 %, only because 0.05 x 100 is a little more than 5 in binary.
        return min(population, math.ceil(round((self.share or 0.0) * population, 9)))

    def __str__(self) -> str:
        return str(self.count) if self.count is not None else f"{100 * (self.share or 0.0):.10g}%"


@dataclass(frozen=True)
class Overlap:
    """What two choices share: `first` and `second` neurons of `population`, `shared` in both; chance would give
    `expected`, in 95 % of cases `low` to `high`, and `shared` or more with probability `p`."""

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
    """The best of all layers. `anywhere`: against neurons drawn from all of them; `in_layers`: from the same layers as
    the top ones of each, which does not count it as agreement that both like the same layers."""

    top: Top
    anywhere: Overlap
    in_layers: Overlap


@dataclass(frozen=True)
class Correlation:
    """Spearman's, over `neurons`; by chance it lies between `-chance` and `chance` in 95 % of cases."""

    value: float
    chance: float
    neurons: int


@dataclass(frozen=True)
class LayerOverlap:
    """The best of one layer; `q` is p after Benjamini-Hochberg over the layers."""

    layer: int
    overlap: Overlap
    q: float
    correlation: Correlation | None


class Comparison:
    """Two attributions' Scores [layers, neurons] (NaN: not ranked) in the layers that both recorded."""

    def __init__(self, first: NDArray[np.floating], second: NDArray[np.floating], layers: Sequence[int]) -> None:
        self.layers = list(layers)
        self._scores = tuple(np.asarray(scores[self.layers], np.float64) for scores in (first, second))
        self._both = np.isfinite(self._scores[0]) & np.isfinite(self._scores[1])

    @property
    def population(self) -> int:
        """How many neurons both rank."""
        return int(self._both.sum())

    def over_all(self, top: Top) -> OverAll:
        """The best of all layers together."""
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
        """The best of each layer, layer after layer, and all of them together."""
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
        """(layer, neuron) of those among the best of their layer in both, by the sum of their places among all."""
        found = np.zeros_like(self._both)
        for place in range(len(self.layers)):
            first, second = self._best_of_layer(place, top)
            found[place] = first & second
        places = self._places(self._scores[0]) + self._places(self._scores[1])
        chosen = np.flatnonzero(found.ravel())
        order = chosen[np.argsort(places[chosen], kind="stable")]
        neurons = self._both.shape[1]
        return [(self.layers[int(at) // neurons], int(at) % neurons) for at in order]

    def correlation(self, layer: int | None = None) -> Correlation | None:
        """Of the Scores of all neurons that both rank, or of a layer's."""
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
        """Which are on top: of equal Scores the first ones."""
        order = np.argsort(-np.where(both, scores, -np.inf).ravel(), kind="stable")[: top.of(int(both.sum()))]
        best = np.zeros(both.size, np.bool_)
        best[order] = scores.ravel()[order] > 0
        return best.reshape(both.shape)

    def _places(self, scores: Floats) -> NDArray[np.int64]:
        """Each neuron's place (from 0) among all, those that not both rank last."""
        order = np.argsort(-np.where(self._both, scores, -np.inf).ravel(), kind="stable")
        places = np.empty(order.size, np.int64)
        places[order] = np.arange(order.size)
        return places


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
