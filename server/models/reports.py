"""Reads `pruning.json` leniently: an invalid field is treated like a missing one.

Files of earlier versions lack fields, and another program's `pruning.json` below a model root may have different ones.
"""

import json
from collections.abc import Mapping
from statistics import fmean
from typing import Annotated, Any

from pydantic import Field

from prunescope.jobs.labels import typed_pattern
from prunescope.server.models.documents import (
    Finite,
    LayerDocument,
    PlacedMatrix,
    PruneRun,
    Readable,
    ReadableItem,
    sparsity_of,
)

PRUNING_JSON = "pruning.json"
MAX_WORST = 10
"""Maximum number of matrices in the list of the largest output errors."""
UNIFORM = "uniform"


class Report(PruneRun):
    """The content of `pruning.json`. Missing and invalid fields have their defaults."""

    spec: Readable[dict[str, Any] | None] = None
    sparsity: Readable[Annotated[float, Field(ge=0, le=1)] | None] = None
    relative_error: Readable[Finite | None] = None
    versions: Readable[dict[str, str | int]] = Field(default={})
    layers: Readable[list[ReadableItem[LayerDocument]]] = Field(default=[])


def read_report(contents: bytes) -> Report:
    """The report in the bytes of a `pruning.json`; an empty report if they are not a JSON object."""
    try:
        return Report.model_validate(json.loads(contents))
    except ValueError:  # not UTF-8, not JSON, or not an object
        return Report()


def report_fields(report: Report) -> dict[str, Any]:
    """The fields of a ModelDocument that a report has, or that are computed from its matrices."""
    spec = report.spec or {}
    allocation = _mapping(spec.get("allocation"))
    layers = [layer for layer in report.layers if layer.matrices]
    placed = [PlacedMatrix(layer=layer.layer, **matrix.model_dump()) for layer in layers for matrix in layer.matrices]
    measured = [matrix for matrix in placed if matrix.relative_error is not None]
    mean = fmean(matrix.relative_error or 0.0 for matrix in measured) if measured else None
    return {
        **dict(report),
        "made_from": _text(spec.get("model")),
        "options": {key: value for key, value in _mapping(spec.get("method")).items() if key != "name"},
        "allocation": None if allocation.get("name", UNIFORM) == UNIFORM else allocation,
        "sparsity": report.sparsity if report.sparsity is not None else sparsity_of(placed),
        "relative_error": report.relative_error if report.relative_error is not None else mean,
        "versions": {name: str(version) for name, version in report.versions.items()},
        "layers": layers,
        "worst": sorted(measured, key=lambda matrix: -(matrix.relative_error or 0.0))[:MAX_WORST],
        "remarked": [matrix for matrix in placed if matrix.sparsity_note or matrix.error_note],
        "retried": [matrix for matrix in placed if matrix.damping_retries],
        "permuted": sum(matrix.permuted for matrix in placed),
    }


def settings_of(spec: Mapping[str, Any]) -> dict[str, str | None]:
    """Names of the method, pattern and calibration set of a prune spec; None for each that the spec lacks."""
    method, pattern, calibration = (_mapping(spec.get(name)) for name in ("method", "pattern", "calibration"))
    text = calibration.get("dataset") or calibration.get("file")
    if text and calibration.get("mode") == "single":
        text = f"{text} single"
    return {
        "method": _text(method.get("name")),
        "pattern": typed_pattern(pattern) or None,
        "calibration": _text(text),
    }


def _mapping(value: object) -> Mapping[str, Any]:
    return value if isinstance(value, Mapping) else {}


def _text(value: object) -> str | None:
    return None if value is None else str(value)
