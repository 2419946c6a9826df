"""Reports on pruned matrices and layers."""

from collections.abc import Mapping
from dataclasses import dataclass, field

from jaxtyping import Int
from torch import Tensor

STAGES = ("load", "statistics", "decide", "forward", "save")
"""The stages of a layer's time. load: copying the layer to the device. statistics: gathering statistics, including the
capture of the first layer's inputs and the pass for an allocation. decide: deciding and measuring. forward: running the
layer for the next layer's inputs. save: storing the layer."""


@dataclass(frozen=True)
class MatrixReport:
    """Report on one pruned matrix.

    `sparsity`: the counted share of zeros. `relative_error`: ||(W' - W) X|| / ||W X|| (Frobenius), with X the linear's
    inputs at a fixed random sample of at most 512 calibration tokens; None without calibration, or if it could not be
    measured, for the reason in `error_note`. `sparsity_note`: the reason why the share of zeros differs from the
    requested share by more than a percentage point, else empty. `damping_retries`: how many times the damping was
    raised before the factorisation succeeded. `order`: the permutation of columns in which an n:m pattern holds; None
    for the stored order.
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
    """Report on one pruned decoder layer: `layer` (from 0) of `layers`, with its matrices in the layer's order.

    `stages`: seconds by name in `STAGES`. `restored`: whether an earlier run pruned the layer; `seconds` and `stages`
    are then from that run. `batch`: windows per micro-batch; None without calibration.
    """

    layer: int
    layers: int
    seconds: float
    stages: Mapping[str, float]
    matrices: tuple[MatrixReport, ...]
    restored: bool = False
    batch: int | None = None
