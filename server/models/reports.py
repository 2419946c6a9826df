"""`pruning.json` as its reader finds it.

An older one lacks fields, and one beside a model that was pruned elsewhere may mean other things by them: what cannot
be read counts as not told, and the rest is shown.
"""

import json
from collections.abc import Sequence
from statistics import fmean
from typing import Annotated, Any, TypeAlias, TypeVar

from pydantic import BaseModel, ConfigDict, Field, ValidationError, ValidatorFunctionWrapHandler, WrapValidator

from prunescope.server.models.documents import CalibrationDocument, LayerDocument, MatrixDocument, PlacedMatrix

PRUNING_JSON = "pruning.json"
MAX_WORST = 10


def _or_none(value: Any, read: ValidatorFunctionWrapHandler) -> Any:
    try:
        return read(value)
    except ValidationError:
        return None


Value = TypeVar("Value")
Told: TypeAlias = Annotated[Value | None, WrapValidator(_or_none)]
Finite = Annotated[float, Field(allow_inf_nan=False)]
Share = Annotated[float, Field(ge=0, le=1)]
Seconds = Annotated[float, Field(ge=0, allow_inf_nan=False)]


class _Lenient(BaseModel):
    model_config = ConfigDict(frozen=True, extra="ignore")


class Matrix(_Lenient):
    name: str
    rows: int
    columns: int
    sparsity: Share
    relative_error: Told[Finite] = None
    damping_retries: Told[int] = None
    permuted: Told[bool] = None
    sparsity_note: Told[str] = None
    error_note: Told[str] = None


class Layer(_Lenient):
    layer: int
    seconds: Told[Seconds] = None
    matrices: list[Told[Matrix]]


class Calibration(_Lenient):
    source: Told[str] = None
    mode: Told[str] = None
    samples: Told[int] = None
    seqlen: Told[int] = None
    seed: Told[int] = None
    bos: Told[bool] = None
    tokens: Told[int] = None
    sha256: Told[str] = None


class Report(_Lenient):
    """What `pruning.json` tells; None where it does not."""

    spec: Told[dict[str, Any]] = None
    sparsity: Told[Share] = None
    relative_error: Told[Finite] = None
    seconds: Told[Seconds] = None
    stages: Told[dict[str, Seconds]] = None
    device: Told[str] = None
    dtype: Told[str] = None
    saved_dtype: Told[str] = None
    batch: Told[int] = None
    calibration: Told[Calibration] = None
    restored: Told[int] = None
    versions: Told[dict[str, str | int]] = None
    layers: Told[list[Told[Layer]]] = None


def read_report(contents: bytes) -> Report:
    """A report out of the file's contents; an empty one where they are none at all."""
    try:
        return Report.model_validate(json.loads(contents))
    except ValueError:  # no UTF-8, no JSON, no object
        return Report()


def report_fields(report: Report) -> dict[str, Any]:
    """What a ModelDocument says of how the model was pruned."""
    read = [_layer(layer) for layer in report.layers or () if layer is not None]
    layers = [layer for layer in read if layer.matrices]
    placed = [PlacedMatrix(layer=layer.layer, **matrix.model_dump()) for layer in layers for matrix in layer.matrices]
    measured = [matrix for matrix in placed if matrix.relative_error is not None]
    errors = [matrix.relative_error or 0.0 for matrix in measured]
    return {
        "sparsity": report.sparsity if report.sparsity is not None else _sparsity(placed),
        "relative_error": report.relative_error if report.relative_error is not None else _mean(errors),
        "windows": report.calibration and CalibrationDocument.model_validate(report.calibration.model_dump()),
        "device": report.device,
        "dtype": report.dtype,
        "saved_dtype": report.saved_dtype,
        "batch": report.batch,
        "seconds": report.seconds,
        "stages": report.stages or {},
        "versions": {name: str(version) for name, version in (report.versions or {}).items()},
        "layers": layers,
        "worst": sorted(measured, key=lambda matrix: -(matrix.relative_error or 0.0))[:MAX_WORST],
        "remarked": [matrix for matrix in placed if matrix.sparsity_note or matrix.error_note],
        "retried": [matrix for matrix in placed if matrix.damping_retries],
        "permuted": sum(matrix.permuted for matrix in placed),
        "restored": report.restored or 0,
    }


def _layer(layer: Layer) -> LayerDocument:
    matrices = [
        MatrixDocument(
            name=matrix.name,
            rows=matrix.rows,
            columns=matrix.columns,
            sparsity=matrix.sparsity,
            relative_error=matrix.relative_error,
            damping_retries=matrix.damping_retries or 0,
            permuted=bool(matrix.permuted),
            sparsity_note=matrix.sparsity_note or "",
            error_note=matrix.error_note or "",
        )
        for matrix in layer.matrices
        if matrix is not None
    ]
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


def _mean(values: Sequence[float]) -> float | None:
    return fmean(values) if values else None
