"""The map and the histogram of an attribution's page, drawn by the server."""

import math
from dataclasses import dataclass
from statistics import median

from prunescope.server import urls
from prunescope.server.attributions.documents import AttributionDocument
from prunescope.server.site import formats
from prunescope.server.site.colour_map import ColourMap, MapCell, colour_map

BIN = 10
"""Width of a bin of the histogram of changes, in percent."""
MAX_CHANGE = 100
"""Changes above this percentage are in the last bin."""


def score_map(document: AttributionDocument, query: str) -> ColourMap:
    """Scores (or margin shares, if they order the neurons) by layer and rank. ``query`` is appended to links."""
    found = document.score_map
    shares = found.margins or [[None] * len(row) for row in found.scores]
    by_margin = document.by == "margin"

    def cells(place: int, layer: int) -> list[MapCell | None]:
        columns = (found.neurons, found.scores, shares, found.words, found.drops, found.hrefs)
        return [
            None
            if neuron is None or score is None or href is None
            else MapCell(
                value=margin if by_margin and margin is not None else score,
                label=_label(f"L{layer}/N{neuron}", score, margin, word, drop),
                href=f"{href}{query}",
            )
            for neuron, score, margin, word, drop, href in zip(*(column[place] for column in columns), strict=True)
        ]

    return colour_map(
        "layer",
        [str(rank) for rank in found.ranks],
        [
            (f"L{layer}", f"{urls.layer(document.id, layer)}{query}", cells(place, layer))
            for place, layer in enumerate(found.layers)
        ],
    )


def _label(name: str, score: float, margin: float | None, word: str | None, drop: float | None) -> str:
    parts = [name, f"Score {formats.decimal(score)}"]
    if margin is not None:
        parts.append(f"margin share {formats.percent(margin, 2)}")
    return ", ".join([*parts, f"{word or 'no word'} {formats.lost(drop)}"])


@dataclass(frozen=True)
class ChangeBin:
    """Neurons whose change is from ``low`` to ``high`` percent; no ``high``: from ``low``. The bar's places are in
    percent of the drawing."""

    low: int
    high: int | None
    count: int
    x: float
    y: float
    width: float
    height: float


@dataclass(frozen=True)
class Changes:
    """The histogram of the changes of activation of each layer's best neurons. ``zero`` and ``middle`` are the places
    of no change and of the median."""

    neurons: int
    fell: int
    median: float
    low: int
    high: int
    zero: float
    middle: float
    bins: list[ChangeBin]


def changes(document: AttributionDocument) -> Changes | None:
    """The histogram for the neurons of the map; None if none of them has a drop."""
    drops = [drop for layer in document.score_map.drops for drop in layer if drop is not None]
    if not drops:
        return None
    percents = [max(-MAX_CHANGE, min(MAX_CHANGE, -100 * drop)) for drop in drops]
    places = [min(math.floor(each / BIN), MAX_CHANGE // BIN - 1) for each in percents]
    first, last = min(*places, -1), max(*places, -1)
    counts = [places.count(place) for place in range(first, last + 1)]
    low, high = BIN * first, BIN * (last + 1)
    width = 100 / len(counts)

    def at(percent: float) -> float:
        return round(100 * (percent - low) / (high - low), 2)

    return Changes(
        neurons=len(drops),
        fell=sum(drop > 0 for drop in drops),
        median=-median(drops),
        low=low,
        high=high,
        zero=at(0),
        middle=at(median(percents)),
        bins=[
            ChangeBin(
                low=low + BIN * place,
                high=None if low + BIN * (place + 1) == MAX_CHANGE else low + BIN * (place + 1),
                count=count,
                x=round(width * (place + 0.06), 2),
                y=round(100 - 100 * count / max(counts), 2),
                width=round(width * 0.88, 2),
                height=round(100 * count / max(counts), 2),
            )
            for place, count in enumerate(counts)
        ],
    )
