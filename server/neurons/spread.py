"""The histogram of a neuron's activations over all tokens, in the dense and in one pruned model."""

from dataclasses import dataclass
from itertools import pairwise
from math import log1p

from prunescope.server.neurons.documents import NeuronDocument, Variant
from prunescope.store.attributions.documents import Spread

GAP = 0.14
"""Of a bin's width, between it and the next."""


@dataclass(frozen=True)
class Bin:
    """A part of the dense model's range, with the number of tokens in it and its bar in both models; bars are (x, y,
    width, height) in percent of the drawing."""

    low: float
    high: float
    counts: tuple[int, int]
    bars: tuple[tuple[str, ...], tuple[str, ...]]


@dataclass(frozen=True)
class SpreadCard:
    """The context of ``neurons/spread.html``; ``zero`` is where zero lies in the drawing, if it is within."""

    dense: Spread
    pruned: Spread
    bins: tuple[Bin, ...]
    zero: str | None


def spread_card(document: NeuronDocument, pruned: Variant) -> SpreadCard | None:
    """The spread in the dense model and in ``pruned``; None for an attribution of format 1, which has none."""
    dense, own = document.spread.get("dense"), document.spread.get(pruned.name)
    if dense is None or own is None:
        return None
    low, high, bins = dense.minimum, dense.maximum, len(dense.histogram)
    step = (high - low) / bins
    edges = pairwise(low + step * place for place in range(bins + 1))
    highest = log1p(max(*dense.histogram, *own.histogram, 1))
    counts = zip(dense.histogram, own.histogram, strict=True)
    return SpreadCard(
        dense=dense,
        pruned=own,
        bins=tuple(
            Bin(*edge, pair, (_bar(place, bins, 0, pair[0], highest), _bar(place, bins, 1, pair[1], highest)))
            for place, (edge, pair) in enumerate(zip(edges, counts, strict=True))
        ),
        zero=f"{100 * -low / (high - low):.2f}%" if low < 0 < high else None,
    )


def _bar(place: int, bins: int, side: int, count: int, highest: float) -> tuple[str, ...]:
    width = 100 / bins
    height = 100 * log1p(count) / highest
    x = width * (place + GAP / 2 + side * (1 - GAP) / 2)
    return tuple(f"{value:.2f}%" for value in (x, 100 - height, width * (1 - GAP) / 2, height))
