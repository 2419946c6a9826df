"""Dense and pruned models."""

from datetime import datetime
from typing import Literal

from server.documents.base import Document, Link


class ModelSummary(Document):
    id: str  # the reference without "pruned:"
    reference: str
    label: str  # "wanda · c4 · 0.5", or the reference of a dense model
    kind: Literal["dense", "pruned"]
    base: Link | None  # the dense model that a pruned one came from
    method: str | None = None
    pattern: str | None = None  # "0.5" or "2:4"
    calibration: str | None = None
    sparsity: float | None = None  # achieved, over all pruned matrices
    created_at: datetime | None = None
    href: str


class MatrixDocument(Document):
    name: str
    rows: int
    columns: int
    sparsity: float
    relative_error: float | None


class LayerDocument(Document):
    layer: int
    sparsity: float  # of the layer's pruned matrices together
    relative_error: float | None  # the largest of its matrices
    matrices: list[MatrixDocument]


class ModelDocument(ModelSummary):
    spec: dict[str, object] | None
    versions: dict[str, str]
    layers: list[LayerDocument]
    download_href: str | None
    job: Link | None
    evaluations: list[Link]
    attributions: list[Link]
    variants: list[Link]  # of a dense model: what was pruned from it
