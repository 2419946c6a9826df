"""The JSON documents of models: the list, and one model with its layers and pruned matrices."""

from collections.abc import Sequence
from datetime import datetime
from typing import Annotated, Any, Literal, TypeAlias, TypeVar

from pydantic import AliasChoices, Field, ValidationError, ValidatorFunctionWrapHandler, WrapValidator, computed_field
from pydantic_core import PydanticOmit, PydanticUseDefault

from prunescope.server.site.documents import Document, Link


def _or_default(value: Any, read: ValidatorFunctionWrapHandler) -> Any:
    try:
        if value is not None:
            return read(value)
    except ValidationError:
        pass
    raise PydanticUseDefault


def _or_omitted(value: Any, read: ValidatorFunctionWrapHandler) -> Any:
    try:
        return read(value)
    except ValidationError as error:
        raise PydanticOmit from error


Value = TypeVar("Value")
Readable: TypeAlias = Annotated[Value, WrapValidator(_or_default)]
"""A field that gets its default if the value in `pruning.json` is null or invalid."""
ReadableItem: TypeAlias = Annotated[Value, WrapValidator(_or_omitted)]
"""An item of a list in `pruning.json` that is omitted if it is invalid."""
Finite = Annotated[float, Field(allow_inf_nan=False)]
Seconds = Annotated[float, Field(ge=0, allow_inf_nan=False)]


class ModelSummary(Document):
    """A model in a list."""

    id: str  # the reference without "pruned:"
    reference: str
    label: str  # "wanda · c4 · 0.5", or the reference of a dense model
    kind: Literal["dense", "pruned"]
    base: Link | None  # the dense model of a pruned one; None if the dense model has no page
    method: str | None = None
    pattern: str | None = None  # "0.5" or "2:4"
    calibration: str | None = None
    sparsity: float | None = None  # achieved sparsity of all pruned matrices together
    relative_error: float | None = None  # mean output error of the pruned matrices
    created_at: datetime | None = None
    href: str


class MatrixDocument(Document):
    """A pruned matrix. Fields that `pruning.json` lacks, or that are invalid there, have their defaults."""

    name: str
    rows: int
    columns: int
    sparsity: Annotated[float, Field(ge=0, le=1)]
    relative_error: Readable[Finite | None] = None  # output error, ||WX - W'X|| / ||WX||
    damping_retries: Readable[int] = 0  # how often the damping was raised before the Hessian could be factored
    permuted: Readable[bool] = False  # whether the pattern holds in the n:m order of the columns, not in the saved one
    sparsity_note: Readable[str] = ""  # why the sparsity differs from the requested one by a percentage point or more
    error_note: Readable[str] = ""  # why the output error could not be measured


class PlacedMatrix(MatrixDocument):
    """A pruned matrix with the index of its layer."""

    layer: int


def sparsity_of(matrices: Sequence[MatrixDocument]) -> float | None:
    """The sparsity of all matrices together; None if they have no weights."""
    weights = sum(matrix.rows * matrix.columns for matrix in matrices)
    zeros = sum(matrix.sparsity * matrix.rows * matrix.columns for matrix in matrices)
    return zeros / weights if weights else None


class LayerDocument(Document):
    """A decoder layer with its pruned matrices."""

    layer: int
    seconds: Readable[Seconds | None] = None
    matrices: list[ReadableItem[MatrixDocument]]

    @computed_field  # type: ignore[prop-decorator]
    @property
    def sparsity(self) -> float:
        """The sparsity of all matrices of the layer together."""
        return sparsity_of(self.matrices) or 0.0

    @computed_field  # type: ignore[prop-decorator]
    @property
    def relative_error(self) -> float | None:
        """The largest output error of the layer's matrices."""
        return max((each.relative_error for each in self.matrices if each.relative_error is not None), default=None)


class CalibrationDocument(Document):
    """The windows of the calibration set. Fields that `pruning.json` lacks, or that are invalid there, are None."""

    source: Readable[str | None] = None
    mode: Readable[str | None] = None  # "concat" or "single"; only of sets of examples
    samples: Readable[int | None] = None
    seqlen: Readable[int | None] = None
    seed: Readable[int | None] = None
    bos: Readable[bool | None] = None  # whether every window begins with BOS; None if token ids were given
    tokens: Readable[int | None] = None
    sha256: Readable[str | None] = None  # of the windows' token ids


class FileDocument(Document):
    """A file of a pruned model."""

    name: str
    bytes: int
    href: str


class PruneRun(Document):
    """The data about a prune run that `pruning.json` and the document of the model have in common. Fields that
    `pruning.json` lacks, or that are invalid there, have their defaults."""

    windows: Readable[CalibrationDocument | None] = Field(
        default=None, validation_alias=AliasChoices("windows", "calibration")
    )
    device: Readable[str | None] = None
    dtype: Readable[str | None] = None  # number type of the computation
    saved_dtype: Readable[str | None] = None
    batch: Readable[int | None] = None  # windows in a micro-batch
    seconds: Readable[Seconds | None] = None
    stages: Readable[dict[str, Seconds]] = Field(default={})
    restored: Readable[int] = 0  # number of layers that an earlier, interrupted run had pruned


class ModelDocument(ModelSummary, PruneRun):
    """One model. Everything about pruning is empty or None for a dense model."""

    spec: dict[str, object] | None
    made_from: str | None  # the dense model's reference
    options: dict[str, object]  # of the method
    allocation: dict[str, object] | None  # None if every layer has the same sparsity
    versions: dict[str, str]
    layers: list[LayerDocument]
    worst: list[PlacedMatrix]  # the matrices with the largest output errors, largest first
    retried: list[PlacedMatrix]  # the matrices with damping retries
    remarked: list[PlacedMatrix]  # the matrices with a note on their sparsity or output error
    permuted: int  # number of permuted matrices
    files: list[FileDocument] = Field(default=[])
    download_href: str | None = None
    matrices_href: str | None  # the CSV file of all matrices
    job: Link | None = None
    evaluations: list[Link]
    explanations: list[Link]
    corpora: list[Link]
    attributions: list[Link]
    variants: list[Link] = Field(default=[])  # the models pruned from a dense model
