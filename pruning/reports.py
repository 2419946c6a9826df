"""What a walk says of each matrix and each layer that it has pruned."""

from collections.abc import Mapping
from dataclasses import dataclass, field

from jaxtyping import Int
from torch import Tensor

STAGES = ("load", "statistics", "decide", "forward", "save")
"""What a layer's time goes into: bringing it to the device, gathering statistics (with the capture of the first
layer's inputs, and the pass for an allocation), deciding and measuring, running it for the next one's inputs, keeping
it."""


@dataclass(frozen=True)
class MatrixReport:
    """One pruned matrix.

    sparsity: the share of zeros, counted. relative_error: ||(W' - W) X|| / ||W X|| (Frobenius) with X a fixed random
    sample of at most 512 of the calibration tokens as this linear saw them; None without calibration, and where it
    could not be measured, which `error_note` then explains. sparsity_note: why the share of zeros is more than a
    percentage point off what was asked for; empty where it is not. damping_retries: how often a method had to add to a
    diagonal before it could factorise. order: the columns' order in which an n:m pattern holds, where it is not the
    stored one.
    """

    layer: int
    name: str
    rows: int
    columns: int
    sparsity: float
    relative_error: float | None
    damping_retries: int = 0
    order: Int[Tensor, " columns"] | None = field(default=None, compare=False)
    sparsity_note: str = ""
    error_note: str = ""


@dataclass(frozen=True)
class LayerReport:
    """One pruned decoder layer, of `layers`, counted from 0; its matrices in the layer's own order.

    stages: seconds by the names of `STAGES`. restored: an earlier run had finished it; seconds and stages are those of
    that run. batch: how many windows went through it at once; None without calibration.
    """

    layer: int
    layers: int
    seconds: float
    stages: Mapping[str, float]
    matrices: tuple[MatrixReport, ...]
    restored: bool = False
    batch: int | None = None
