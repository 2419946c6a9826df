"""The matrices of a pruned model, layer by layer, as a map and as a table with the same numbers."""

import math
from collections.abc import Iterable
from dataclasses import dataclass
from html import escape
from itertools import groupby
from typing import Literal

from prunescope.server.models.documents import LayerDocument, MatrixDocument, ModelDocument
from prunescope.server.site import formats
from prunescope.server.site.palette import step
from prunescope.server.site.parts import Legend

Shown = Literal["error", "sparsity"]

TITLES: dict[Shown, str] = {"error": "Relative output error", "sparsity": "Sparsity"}
NOTES: dict[Shown, str] = {
    "error": "of each matrix, ‖WX − W\N{PRIME}X‖ / ‖WX‖",
    "sparsity": "the share of zeros in each matrix",
}
SAME = 0.005
"""Sparsities that differ by less are those of one pattern: rows and blocks do not divide evenly."""
GRAIN = 0.05
"""Uneven sparsities are shaded from below and to a multiple of this."""


QUICK = 10
"""Layers that take less than so many seconds have another decimal."""


@dataclass(frozen=True)
class Cell:
    text: str
    css: str


@dataclass(frozen=True)
class Group:
    """Neighbouring columns whose names have the same prefix."""

    name: str
    columns: int


@dataclass(frozen=True)
class Row:
    layer: LayerDocument
    cells: tuple[Cell, ...]


@dataclass(frozen=True)
class MatrixTable:
    """``uneven``: the layers lost different shares; ``timed``: how long each took is known; ``beside``: how many
    columns follow those of the matrices."""

    caption: str
    groups: tuple[Group, ...]
    columns: tuple[str, ...]
    rows: tuple[Row, ...]
    uneven: bool
    measured: bool
    timed: bool
    beside: int
    places: int


@dataclass(frozen=True)
class MatrixMap:
    """A heatmap of layers x matrices; ``data`` is the script's input."""

    title: str
    note: str
    legend: Legend
    data: dict[str, object]


@dataclass(frozen=True)
class _Shades:
    """A linear shade between two values: none at ``low``, full at ``high``."""

    hue: Literal["loss", "heat"]
    low: float
    high: float

    def css(self, value: float) -> str:
        fraction = (value - self.low) / (self.high - self.low) if self.high > self.low else 0.0
        place = step(min(1.0, max(0.0, fraction)))
        return f"loss-shade l{place}" if self.hue == "loss" else f"heat h{place}"

    @property
    def middle(self) -> float:
        return (self.low + self.high) / 2


def measured(document: ModelDocument) -> bool:
    """Whether the output error of any matrix was measured."""
    return any(matrix.relative_error is not None for layer in document.layers for matrix in layer.matrices)


def matrix_table(document: ModelDocument, shown: Shown) -> MatrixTable:
    names = _names(document)
    shades = _shades(document, shown)
    prefixes = groupby(name.rpartition(".")[0] for name in names)
    places = 1 if max((layer.seconds or 0.0 for layer in document.layers), default=0.0) >= QUICK else 2
    uneven = _spread(layer.sparsity for layer in document.layers) > SAME
    with_error = measured(document)
    timed = any(layer.seconds is not None for layer in document.layers)
    return MatrixTable(
        caption=f"{TITLES[shown].lower()} of each matrix",
        groups=tuple(Group(prefix, len(list(columns))) for prefix, columns in prefixes),
        columns=tuple(name.rpartition(".")[2] for name in names),
        rows=tuple(_row(layer, names, shown, shades) for layer in document.layers),
        places=places,
        uneven=uneven,
        measured=with_error,
        timed=timed,
        beside=1 + uneven + with_error + timed,
    )


def matrix_map(document: ModelDocument, shown: Shown) -> MatrixMap:
    names = _names(document)
    shades = _shades(document, shown)
    known = [{matrix.name: matrix for matrix in layer.matrices} for layer in document.layers]
    short = [name.rpartition(".")[2] for name in names]
    return MatrixMap(
        title=TITLES[shown],
        note=NOTES[shown],
        legend=Legend(
            _value(shades.low, shown, legend=True),
            _value(shades.middle, shown, legend=True),
            _value(shades.high, shown, legend=True),
            f"{shades.hue}-ramp",
        ),
        data={
            "matrices": short if len(set(short)) == len(names) else names,
            "layers": [f"{layer.layer}" for layer in document.layers],
            "values": [[_number(row.get(name), shown) for name in names] for row in known],
            "labels": [
                [_label(layer, row.get(name)) for name in names]
                for layer, row in zip(document.layers, known, strict=True)
            ],
            "hue": shades.hue,
            "low": shades.low,
            "high": shades.high,
        },
    )


def _names(document: ModelDocument) -> tuple[str, ...]:
    return tuple(dict.fromkeys(matrix.name for layer in document.layers for matrix in layer.matrices))


def _shades(document: ModelDocument, shown: Shown) -> _Shades:
    matrices = [matrix for layer in document.layers for matrix in layer.matrices]
    if shown == "error":
        errors = [matrix.relative_error for matrix in matrices if matrix.relative_error is not None]
        return _Shades("loss", 0.0, max(errors, default=0.0))
    sparsities = [matrix.sparsity for matrix in matrices]
    if _spread(sparsities) <= SAME:
        return _Shades("heat", 0.0, 1.0)
    # The lowest has some shade too: a matrix without any would look as if it were not there.
    low, high = max(0, math.floor(min(sparsities) / GRAIN) - 1), math.ceil(max(sparsities) / GRAIN)
    return _Shades("heat", low * GRAIN, high * GRAIN)


def _row(layer: LayerDocument, names: tuple[str, ...], shown: Shown, shades: _Shades) -> Row:
    known = {matrix.name: matrix for matrix in layer.matrices}
    return Row(layer, tuple(_cell(known.get(name), shown, shades) for name in names))


def _cell(matrix: MatrixDocument | None, shown: Shown, shades: _Shades) -> Cell:
    if matrix is None:
        return Cell("", "")
    value = _number(matrix, shown)
    return Cell(formats.NOTHING, "") if value is None else Cell(_value(value, shown), shades.css(value))


def _number(matrix: MatrixDocument | None, shown: Shown) -> float | None:
    if matrix is None:
        return None
    return matrix.relative_error if shown == "error" else matrix.sparsity


def _value(value: float, shown: Shown, *, legend: bool = False) -> str:
    if shown == "sparsity":
        return formats.percent(value, 0 if legend else 1)
    return "0" if legend and not value else formats.decimal(value)


def _label(layer: LayerDocument, matrix: MatrixDocument | None) -> str:
    if matrix is None:
        return ""
    lines = [
        f"layer {layer.layer} · {escape(matrix.name)}",
        f"{formats.count(matrix.rows)} {formats.TIMES} {formats.count(matrix.columns)}",
        f"sparsity {formats.percent(matrix.sparsity, 1)}",
        "relative error not measured"
        if matrix.error_note
        else f"relative error {formats.decimal(matrix.relative_error)}",
    ]
    if matrix.damping_retries:
        lines.append(formats.plural(matrix.damping_retries, "damping retry", "damping retries"))
    if matrix.permuted:
        lines.append("channels permuted")
    return "<br>".join(lines)


def _spread(values: Iterable[float]) -> float:
    found = list(values)
    return max(found) - min(found) if found else 0.0
