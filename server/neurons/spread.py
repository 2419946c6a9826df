"""Histogram of a neuron's activations over all tokens in the dense model and in one pruned model."""

from dataclasses import dataclass
from itertools import pairwise
from math import log1p

from prunescope.server.neurons.documents import NeuronDocument, Variant
from prunescope.store.attributions.documents import Spread

GAP = 0.14
"""Between two bins, as a share of a bin's width."""


@dataclass(frozen=True)
class SpreadCard:
    """The context of ``neurons/spread.html``: for each model the bars (x, y, width, height) of all bins, in percent of
    the drawing. ``edges`` are the bins' limits, ``zero`` is the x of activation 0, None if it is outside the bins."""

    dense: Spread
    pruned: Spread
    edges: list[tuple[float, float]]
    bars: list[list[tuple[str, ...]]]
    zero: str | None


def spread_card(document: NeuronDocument, pruned: Variant) -> SpreadCard | None:
    """The histograms of the dense model and of ``pruned``; None if the attribution has none (format 1)."""
    dense, own = document.spread.get("dense"), document.spread.get(pruned.name)
    if dense is None or own is None:
        return None
    low, high, bins = dense.minimum, dense.maximum, len(dense.histogram)
    step = (high - low) / bins
    highest = log1p(max(*dense.histogram, *own.histogram, 1))
    return SpreadCard(
        dense=dense,
        pruned=own,
        edges=list(pairwise(low + step * place for place in range(bins + 1))),
        bars=[
            [_bar(place, bins, side, 100 * log1p(count) / highest) for place, count in enumerate(spread.histogram)]
            for side, spread in enumerate((dense, own))
        ],
        zero=f"{100 * -low / (high - low):.2f}%" if low < 0 < high else None,
    )


def _bar(place: int, bins: int, side: int, height: float) -> tuple[str, ...]:
    width = 100 / bins
    x = width * (place + GAP / 2 + side * (1 - GAP) / 2)
    return tuple(f"{value:.2f}%" for value in (x, 100 - height, width * (1 - GAP) / 2, height))
