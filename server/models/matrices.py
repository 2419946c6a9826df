"""The matrices of a pruned model, layer by layer: as a map, as a table with the same numbers, and as CSV."""

import csv
import io
import math
from dataclasses import dataclass
from html import escape
from itertools import groupby
from typing import Literal, get_args

from prunescope.server.models.documents import LayerDocument, MatrixDocument, ModelDocument
from prunescope.server.site import formats
from prunescope.server.site.palette import step

Shown = Literal["error", "sparsity"]
SHOWN = get_args(Shown)
HUES: dict[Shown, str] = {"error": "loss", "sparsity": "heat"}

SAME = 0.005
"""Sparsities that differ by less are those of one pattern: rows and blocks do not divide evenly."""
GRAIN = 0.05
"""Uneven sparsities are shaded from below and to a multiple of this."""
QUICK = 10
"""Layers that take less than so many seconds have another decimal."""
COLUMNS = ("layer", "matrix", "rows", "columns", "sparsity", "relative_error", "damping_retries", "permuted")


@dataclass(frozen=True)
class Cell:
    """A matrix of the table; ``value`` is None where it was not measured."""

    value: float | None
    css: str


@dataclass(frozen=True)
class Matrices:
    """Layers x matrices, shaded by the output error or by the sparsity from ``low`` to ``high``.

    ``groups``: neighbouring names with the same prefix, and how many they are; ``rows``: None where a layer has no
    matrix of that name; ``uneven``: the layers lost different shares; ``places``: decimals of the layers' seconds, None
    where these are not known; ``data``: the input of the map's script.
    """

    shown: Shown
    low: float
    high: float
    names: list[str]
    groups: list[tuple[str, int]]
    rows: list[list[Cell | None]]
    uneven: bool
    places: int | None
    data: dict[str, object]


def measured(document: ModelDocument) -> bool:
    """Whether the output error of any matrix was measured."""
    return any(matrix.relative_error is not None for layer in document.layers for matrix in layer.matrices)


def matrices_of(document: ModelDocument, shown: Shown) -> Matrices:
    """The map and the table of a pruned model."""
    names = list(dict.fromkeys(matrix.name for layer in document.layers for matrix in layer.matrices))
    known = [{matrix.name: matrix for matrix in layer.matrices} for layer in document.layers]
    grid = [[matrices.get(name) for name in names] for matrices in known]
    low, high = _range(document, shown)
    short = [name.rpartition(".")[2] for name in names]
    seconds = [layer.seconds for layer in document.layers if layer.seconds is not None]
    return Matrices(
        shown=shown,
        low=low,
        high=high,
        names=names,
        groups=[(prefix, len(list(same))) for prefix, same in groupby(names, lambda name: name.rpartition(".")[0])],
        rows=[[None if matrix is None else _cell(matrix, shown, low, high) for matrix in row] for row in grid],
        uneven=_spread([layer.sparsity for layer in document.layers]) > SAME,
        places=(1 if max(seconds) >= QUICK else 2) if seconds else None,
        data={
            "matrices": short if len(set(short)) == len(names) else names,
            "layers": [f"{layer.layer}" for layer in document.layers],
            "values": [[None if matrix is None else _value(matrix, shown) for matrix in row] for row in grid],
            "labels": [
                [_label(layer, matrix) if matrix else "" for matrix in row]
                for layer, row in zip(document.layers, grid, strict=True)
            ],
            "hue": HUES[shown],
            "low": low,
            "high": high,
        },
    )


def _value(matrix: MatrixDocument, shown: Shown) -> float | None:
    return matrix.relative_error if shown == "error" else matrix.sparsity


def _range(document: ModelDocument, shown: Shown) -> tuple[float, float]:
    """The values without and with full shade."""
    matrices = [matrix for layer in document.layers for matrix in layer.matrices]
    if shown == "error":
        return 0.0, max((matrix.relative_error or 0.0 for matrix in matrices), default=0.0)
    sparsities = [matrix.sparsity for matrix in matrices]
    if _spread(sparsities) <= SAME:
        return 0.0, 1.0
    # The lowest has some shade too: a matrix without any would look as if it were not there.
    low, high = max(0, math.floor(min(sparsities) / GRAIN) - 1), math.ceil(max(sparsities) / GRAIN)
    return low * GRAIN, high * GRAIN


def _cell(matrix: MatrixDocument, shown: Shown, low: float, high: float) -> Cell:
    value = _value(matrix, shown)
    if value is None:
        return Cell(None, "")
    fraction = (value - low) / (high - low) if high > low else 0.0
    place = step(min(1.0, max(0.0, fraction)))
    return Cell(value, f"loss-shade l{place}" if shown == "error" else f"heat h{place}")


def _label(layer: LayerDocument, matrix: MatrixDocument) -> str:
    """A point of the map in words; the chart takes them as HTML."""
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


def _spread(values: list[float]) -> float:
    return max(values) - min(values) if values else 0.0


def matrices_csv(model: ModelDocument) -> str:
    """One row per matrix, layer by layer. Numbers have all of their digits, as in the JSON document; a matrix whose
    error was not measured has none."""
    out = io.StringIO()
    writer = csv.writer(out)
    writer.writerow(COLUMNS)
    for layer in model.layers:
        for matrix in layer.matrices:
            writer.writerow(
                [
                    layer.layer,
                    formats.harmless(matrix.name),
                    matrix.rows,
                    matrix.columns,
                    matrix.sparsity,
                    matrix.relative_error,
                    matrix.damping_retries,
                    str(matrix.permuted).lower(),
                ]
            )
    return out.getvalue()
