"""Dense and pruned models."""

from datetime import datetime
from typing import Annotated, Any, Literal, TypeAlias, TypeVar

from pydantic import Field, ValidationError, ValidatorFunctionWrapHandler, WrapValidator
from pydantic_core import PydanticUseDefault

from prunescope.server.site.documents import Document, Link


def _or_default(value: Any, read: ValidatorFunctionWrapHandler) -> Any:
    try:
        if value is not None:
            return read(value)
    except ValidationError:
        pass
    raise PydanticUseDefault


Value = TypeVar("Value")
Readable: TypeAlias = Annotated[Value, WrapValidator(_or_default)]
"""A field that has its default where a report's value cannot be read."""
Finite = Annotated[float, Field(allow_inf_nan=False)]


class ModelSummary(Document):
    id: str  # the reference without "pruned:"
    reference: str
    label: str  # "wanda · c4 · 0.5", or the reference of a dense model
    kind: Literal["dense", "pruned"]
    base: Link | None  # the dense model that a pruned one came from, where it has a page
    method: str | None = None
    pattern: str | None = None  # "0.5" or "2:4"
    calibration: str | None = None
    sparsity: float | None = None  # achieved, over all pruned matrices
    relative_error: float | None = None  # the mean over the pruned matrices
    created_at: datetime | None = None
    href: str


class MatrixDocument(Document):
    """A pruned matrix; what its report lacks, or has in a form of its own, is the default."""

    name: str
    rows: int
    columns: int
    sparsity: Annotated[float, Field(ge=0, le=1)]
    relative_error: Readable[Finite | None] = None  # ||WX - W'X|| / ||WX||
    damping_retries: Readable[int] = 0  # how often a Hessian needed more damping before it could be factored
    permuted: Readable[bool] = False  # the pattern holds in another order of the columns than the saved one
    sparsity_note: Readable[str] = ""  # why it is a percentage point or more off what was asked for
    error_note: Readable[str] = ""  # why its relative error could not be measured


class PlacedMatrix(MatrixDocument):
    layer: int


class LayerDocument(Document):
    layer: int
    sparsity: float  # of the layer's pruned matrices together
    relative_error: float | None  # the largest of its matrices
    seconds: float | None = None
    matrices: list[MatrixDocument]


class CalibrationDocument(Document):
    """The token windows that steered pruning; what an older report lacks is None."""

    source: Readable[str | None] = None
    mode: Readable[str | None] = None  # of task sets: concat or single
    samples: Readable[int | None] = None
    seqlen: Readable[int | None] = None
    seed: Readable[int | None] = None
    bos: Readable[bool | None] = None  # whether every window begins with BOS; of windows of token ids not known
    tokens: Readable[int | None] = None
    sha256: Readable[str | None] = None  # of the windows themselves


class FileDocument(Document):
    name: str
    bytes: int
    href: str


class ModelDocument(ModelSummary):
    spec: dict[str, object] | None
    made_from: str | None  # the dense model's reference, also where it has no page
    options: dict[str, object]  # of the method
    allocation: dict[str, object] | None  # how much each layer loses; None where all lose the same share
    windows: CalibrationDocument | None
    device: str | None
    dtype: str | None  # computed in
    saved_dtype: str | None
    batch: int | None  # windows that went through a layer at once
    seconds: float | None
    stages: dict[str, float]  # seconds
    versions: dict[str, str]
    layers: list[LayerDocument]
    worst: list[PlacedMatrix]  # by relative error, the largest first
    retried: list[PlacedMatrix]  # those with damping retries
    remarked: list[PlacedMatrix]  # those with a note on their sparsity or their error
    permuted: int  # how many matrices are
    restored: int  # how many layers were taken over from an earlier run that was cut short
    files: list[FileDocument]
    download_href: str | None
    matrices_href: str | None  # the table of all matrices as CSV
    job: Link | None
    evaluations: list[Link]
    attributions: list[Link]
    variants: list[Link]  # of a dense model: what was pruned from it
