"""How a neuron's activations are spread over all tokens, words or not, in the dense and in one pruned model."""

from dataclasses import dataclass
from itertools import pairwise
from math import log1p

from prunescope.server.neurons.documents import NeuronDocument, Variant
from prunescope.server.site import formats
from prunescope.store.attributions.documents import Spread

GAP = 0.14
"""Of a bin's width, between it and the next."""


@dataclass(frozen=True)
class Bar:
    """A rectangle of the histogram; everything in percent of the drawing."""

    x: str
    y: str
    width: str
    height: str
    css: str
    title: str


@dataclass(frozen=True)
class SpreadLine:
    label: str
    css: str
    mean: str
    minimum: str
    maximum: str


@dataclass(frozen=True)
class BinLine:
    """A bin in the table beneath the drawing."""

    within: str
    dense: str
    pruned: str


@dataclass(frozen=True)
class SpreadCard:
    """The context of ``neurons/spread.html``; without bars the spread was not recorded."""

    lines: tuple[SpreadLine, ...]
    bars: tuple[Bar, ...]
    bins: tuple[BinLine, ...]
    zero: str | None
    low: str
    high: str
    note: str


def spread_card(document: NeuronDocument, pruned: Variant) -> SpreadCard:
    """The spread in the dense model and in ``pruned``, in bins of the dense model's range."""
    dense, own = document.spread.get("dense"), document.spread.get(pruned.name)
    if dense is None or own is None:
        return SpreadCard((), (), (), None, "", "", "How its activations are spread was not recorded.")
    low, high = dense.minimum, dense.maximum
    step = (high - low) / len(dense.histogram)
    edges = [low + step * place for place in range(len(dense.histogram) + 1)]
    within = [_range(*pair) for pair in pairwise(edges)]
    highest = log1p(max(*dense.histogram, *own.histogram, 1))
    bars = [
        _bar(place, len(within), side, count, highest, css, f"{label}, {within[place]}: {_tokens(count)}")
        for side, (css, label, spread) in enumerate((("dense", "Dense", dense), ("pruned", "Pruned", own)))
        for place, count in enumerate(spread.histogram)
    ]
    counts = zip(within, dense.histogram, own.histogram, strict=True)
    return SpreadCard(
        lines=(_line("Dense", "dense", dense), _line("Pruned", "pruned", own)),
        bars=tuple(bars),
        bins=tuple(BinLine(text, formats.count(before), formats.count(after)) for text, before, after in counts),
        zero=f"{100 * -low / (high - low):.2f}%" if low < 0 < high else None,
        low=formats.activation(low),
        high=formats.activation(high),
        note=_note(dense, own),
    )


def _bar(place: int, bins: int, side: int, count: int, highest: float, css: str, title: str) -> Bar:
    width = 100 / bins
    height = 100 * log1p(count) / highest
    return Bar(
        x=f"{width * (place + GAP / 2 + side * (1 - GAP) / 2):.2f}%",
        y=f"{100 - height:.2f}%",
        width=f"{width * (1 - GAP) / 2:.2f}%",
        height=f"{height:.2f}%",
        css=css,
        title=title,
    )


def _line(label: str, css: str, spread: Spread) -> SpreadLine:
    numbers = (formats.activation(value) for value in (spread.mean, spread.minimum, spread.maximum))
    return SpreadLine(label, css, *numbers)


def _note(dense: Spread, own: Spread) -> str:
    tokens = sum(dense.histogram)
    note = f"{_tokens(tokens)} of all texts, signed as recorded; heights grow with the logarithm of the count."
    if own.minimum < dense.minimum or own.maximum > dense.maximum:
        note += " What lies outside of the dense model's range is counted in the outermost bars."
    return note


def _range(low: float, high: float) -> str:
    return f"{formats.activation(low)} to {formats.activation(high)}"


def _tokens(count: int) -> str:
    return formats.plural(count, "token")
