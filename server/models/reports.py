"""Reads `pruning.json` leniently: an invalid field is treated like a missing one.

Files of earlier versions lack fields, and another program's `pruning.json` below a model root may have different ones.
"""

import json
from collections.abc import Mapping, Sequence
from statistics import fmean
from typing import Annotated, Any, TypeAlias, TypeVar

from pydantic import Field, ValidationError, ValidatorFunctionWrapHandler, WrapValidator

from prunescope.jobs.labels import typed_pattern
from prunescope.server.models.documents import (
    Finite,
    LayerDocument,
    MatrixDocument,
    PlacedMatrix,
    PruneRun,
    Readable,
    Seconds,
)
from prunescope.server.site.documents import Document

PRUNING_JSON = "pruning.json"
MAX_WORST = 10
"""Maximum number of matrices in the list of the largest output errors."""
UNIFORM = "uniform"

Known = TypeVar("Known")


def _or_none(value: Any, read: ValidatorFunctionWrapHandler) -> Any:
    try:
        return read(value)
    except ValidationError:
        return None


OrNone: TypeAlias = Annotated[Known | None, WrapValidator(_or_none)]
"""An item of a list that becomes None if it is invalid."""


class Layer(Document):
    """A layer in `pruning.json`."""

    layer: int
    seconds: Readable[Seconds | None] = None
    matrices: list[OrNone[MatrixDocument]]


class Report(PruneRun):
    """The content of `pruning.json`. Missing and invalid fields have their defaults."""

    spec: Readable[dict[str, Any] | None] = None
    sparsity: Readable[Annotated[float, Field(ge=0, le=1)] | None] = None
    relative_error: Readable[Finite | None] = None
    versions: Readable[dict[str, str | int]] = Field(default={})
    layers: Readable[tuple[OrNone[Layer], ...]] = ()


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
    """The sparsity of all matrices together; None if they have no weights."""
    weights = sum(matrix.rows * matrix.columns for matrix in matrices)
    zeros = sum(matrix.sparsity * matrix.rows * matrix.columns for matrix in matrices)
    return zeros / weights if weights else None


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
