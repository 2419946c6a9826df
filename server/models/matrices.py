"""The matrices of a pruned model, layer by layer: a shaded table and a CSV file."""

import csv
import io
import math
from dataclasses import dataclass
from itertools import groupby
from typing import Literal, get_args

from prunescope.server.models.documents import LayerDocument, MatrixDocument, ModelDocument
from prunescope.server.site import formats
from prunescope.server.site.palette import step

Shown = Literal["error", "sparsity"]
SHOWN = get_args(Shown)

SAME = 0.005
"""Maximum difference of sparsities that are shown as equal. They differ slightly if a pattern does not divide a row."""
GRAIN = 0.05
"""The ends of the colour scale of unequal sparsities are multiples of this."""
QUICK = 10
"""Below this maximum of the layers' times, in seconds, times are shown with two decimals, otherwise with one."""
COLUMNS = ("layer", "matrix", "rows", "columns", "sparsity", "relative_error", "damping_retries", "permuted")


@dataclass(frozen=True)
class Cell:
    """A matrix in the table: its value, None if it was not measured, the CSS classes of its shade, and its accessible
    name: what is known of it."""

    value: float | None
    css: str
    label: str


@dataclass(frozen=True)
class Matrices:
    """The table of layers x matrices, shaded by output error or sparsity from ``low`` to ``high``."""

    shown: Shown
    low: float
    high: float
    names: list[str]
    groups: list[tuple[str, int]]  # common prefix of neighbouring names, and the number of these names
    rows: list[list[Cell | None]]  # None if the layer has no matrix of this name
    uneven: bool  # whether the layers have different sparsities
    places: int | None  # decimals of the layers' times; None if no time is known


def measured(document: ModelDocument) -> bool:
    """Whether the output error of any matrix was measured."""
    return any(matrix.relative_error is not None for layer in document.layers for matrix in layer.matrices)


def matrices_of(document: ModelDocument, shown: Shown) -> Matrices:
    """The table of a pruned model's matrices."""
    names = list(dict.fromkeys(matrix.name for layer in document.layers for matrix in layer.matrices))
    known = [{matrix.name: matrix for matrix in layer.matrices} for layer in document.layers]
    low, high = _range(document, shown)
    seconds = [layer.seconds for layer in document.layers if layer.seconds is not None]
    return Matrices(
        shown=shown,
        low=low,
        high=high,
        names=names,
        groups=[(prefix, len(list(same))) for prefix, same in groupby(names, lambda name: name.rpartition(".")[0])],
        rows=[
            [_cell(layer, matrices[name], shown, low, high) if name in matrices else None for name in names]
            for layer, matrices in zip(document.layers, known, strict=True)
        ],
        uneven=_spread([layer.sparsity for layer in document.layers]) > SAME,
        places=(1 if max(seconds) >= QUICK else 2) if seconds else None,
    )


def _value(matrix: MatrixDocument, shown: Shown) -> float | None:
    return matrix.relative_error if shown == "error" else matrix.sparsity


def _range(document: ModelDocument, shown: Shown) -> tuple[float, float]:
    """The values at the two ends of the colour scale."""
    matrices = [matrix for layer in document.layers for matrix in layer.matrices]
    if shown == "error":
        return 0.0, max((matrix.relative_error or 0.0 for matrix in matrices), default=0.0)
    sparsities = [matrix.sparsity for matrix in matrices]
    if _spread(sparsities) <= SAME:
        return 0.0, 1.0
    # The scale begins below the minimum, because a matrix without any shade would look like a missing one.
    low, high = max(0, math.floor(min(sparsities) / GRAIN) - 1), math.ceil(max(sparsities) / GRAIN)
    return low * GRAIN, high * GRAIN


def _cell(layer: LayerDocument, matrix: MatrixDocument, shown: Shown, low: float, high: float) -> Cell:
    value, label = _value(matrix, shown), _label(layer, matrix)
    if value is None:
        return Cell(None, "", label)
    fraction = (value - low) / (high - low) if high > low else 0.0
    place = step(min(1.0, max(0.0, fraction)))
    return Cell(value, f"loss-shade l{place}" if shown == "error" else f"heat h{place}", label)


def _label(layer: LayerDocument, matrix: MatrixDocument) -> str:
    parts = [
        f"layer {layer.layer} {matrix.name}",
        f"{formats.count(matrix.rows)} {formats.TIMES} {formats.count(matrix.columns)}",
        f"sparsity {formats.percent(matrix.sparsity, 1)}",
        "relative error not measured"
        if matrix.error_note
        else f"relative error {formats.decimal(matrix.relative_error)}",
    ]
    if matrix.damping_retries:
        parts.append(formats.plural(matrix.damping_retries, "damping retry", "damping retries"))
    if matrix.permuted:
        parts.append("channels permuted")
    return ", ".join(parts)


def _spread(values: list[float]) -> float:
    return max(values) - min(values) if values else 0.0


def matrices_csv(model: ModelDocument) -> str:
    """A CSV file with one row for each matrix, layer by layer. Numbers have all digits; an error that was not measured
    is empty."""
    out = io.StringIO()
    writer = csv.DictWriter(out, COLUMNS, extrasaction="ignore")
    writer.writeheader()
    for layer in model.layers:
        for matrix in layer.matrices:
            named = {"layer": layer.layer, "matrix": formats.harmless(matrix.name)}
            writer.writerow({**dict(matrix), **named, "permuted": str(matrix.permuted).lower()})
    return out.getvalue()
