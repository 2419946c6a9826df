"""Reads `pruning.json` leniently: a field that cannot be read counts as missing.

Older files lack fields, and one beside a model that was pruned elsewhere may use them for something else.
"""

import json
from collections.abc import Mapping, Sequence
from statistics import fmean
from typing import Annotated, Any, TypeAlias, TypeVar

from pydantic import Field, ValidationError, ValidatorFunctionWrapHandler, WrapValidator

from prunescope.server.labels import typed_pattern
from prunescope.server.models.documents import (
    CalibrationDocument,
    Finite,
    LayerDocument,
    MatrixDocument,
    PlacedMatrix,
    Readable,
)
from prunescope.server.site.documents import Document

PRUNING_JSON = "pruning.json"
MAX_WORST = 10
UNIFORM = "uniform"

Seconds = Annotated[float, Field(ge=0, allow_inf_nan=False)]
Known = TypeVar("Known")


def _or_none(value: Any, read: ValidatorFunctionWrapHandler) -> Any:
    try:
        return read(value)
    except ValidationError:
        return None


OrNone: TypeAlias = Annotated[Known | None, WrapValidator(_or_none)]


class Layer(Document):
    layer: int
    seconds: Readable[Seconds | None] = None
    matrices: list[OrNone[MatrixDocument]]


class Report(Document):
    """The content of `pruning.json`; None where a field is missing or cannot be read."""

    spec: Readable[dict[str, Any] | None] = None
    sparsity: Readable[Annotated[float, Field(ge=0, le=1)] | None] = None
    relative_error: Readable[Finite | None] = None
    seconds: Readable[Seconds | None] = None
    stages: Readable[dict[str, Seconds]] = Field(default={})
    device: Readable[str | None] = None
    dtype: Readable[str | None] = None
    saved_dtype: Readable[str | None] = None
    batch: Readable[int | None] = None
    windows: Readable[CalibrationDocument | None] = Field(default=None, alias="calibration")
    restored: Readable[int] = 0
    versions: Readable[dict[str, str | int]] = Field(default={})
    layers: Readable[tuple[OrNone[Layer], ...]] = ()


def read_report(contents: bytes) -> Report:
    """Parses the file's contents; an empty report where they are no JSON object."""
    try:
        return Report.model_validate(json.loads(contents))
    except ValueError:  # no UTF-8, no JSON, no object
        return Report()


def report_fields(report: Report) -> dict[str, Any]:
    """The fields of a ModelDocument that a report gives, as they are or computed."""
    spec = report.spec or {}
    allocation = _mapping(spec.get("allocation"))
    read = [_layer(layer) for layer in report.layers if layer is not None]
    layers = [layer for layer in read if layer.matrices]
    placed = [PlacedMatrix(layer=layer.layer, **matrix.model_dump()) for layer in layers for matrix in layer.matrices]
    measured = [matrix for matrix in placed if matrix.relative_error is not None]
    mean = fmean(matrix.relative_error or 0.0 for matrix in measured) if measured else None
    return {
        **dict(report),
        "made_from": _text(spec.get("model")),
        "options": {key: value for key, value in _mapping(spec.get("method")).items() if key != "name"},
        "allocation": None if allocation.get("name", UNIFORM) == UNIFORM else allocation,
        "sparsity": report.sparsity if report.sparsity is not None else _sparsity(placed),
        "relative_error": report.relative_error if report.relative_error is not None else mean,
        "versions": {name: str(version) for name, version in report.versions.items()},
        "layers": layers,
        "worst": sorted(measured, key=lambda matrix: -(matrix.relative_error or 0.0))[:MAX_WORST],
        "remarked": [matrix for matrix in placed if matrix.sparsity_note or matrix.error_note],
        "retried": [matrix for matrix in placed if matrix.damping_retries],
        "permuted": sum(matrix.permuted for matrix in placed),
    }


def _layer(layer: Layer) -> LayerDocument:
    matrices = [matrix for matrix in layer.matrices if matrix is not None]
    errors = [matrix.relative_error for matrix in matrices if matrix.relative_error is not None]
    return LayerDocument(
        layer=layer.layer,
        sparsity=_sparsity(matrices) or 0.0,
        relative_error=max(errors, default=None),
        seconds=layer.seconds,
        matrices=matrices,
    )


def _sparsity(matrices: Sequence[MatrixDocument]) -> float | None:
    """The share of zeros in all of them together; None without weights."""
    weights = sum(matrix.rows * matrix.columns for matrix in matrices)
    zeros = sum(matrix.sparsity * matrix.rows * matrix.columns for matrix in matrices)
    return zeros / weights if weights else None


def settings_of(spec: Mapping[str, Any]) -> dict[str, str | None]:
    """Names of method, pattern and calibration set; None for what the spec does not have."""
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
