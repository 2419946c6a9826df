"""The interface for storing finished layers, so that memory holds one layer at a time and an interrupted run can
resume.

`pruning.walk` writes no files itself; its caller may pass a keeper that does.
"""

from dataclasses import dataclass
from typing import Protocol

from torch import nn

from prunescope.pruning.reports import LayerReport


@dataclass(frozen=True)
class Plan:
    """Parameters that a run fixes before its first layer; resuming with other values would change the result. `batch`:
    windows per micro-batch. `sparsities`: one per layer, None when they do not differ."""

    batch: int | None
    sparsities: tuple[float, ...] | None


class Keeper(Protocol):
    """Stores finished layers, and restores them in a later run with the same arguments on the same model.

    `keep` is called once for each layer, in order; after it returns, the layer's weights are freed. Exceptions of a
    keeper propagate to the caller of `prune`.
    """

    def plan(self) -> Plan | None:
        """The plan of the run that stored the layers; None when there is nothing to resume."""

    def begin(self, plan: Plan) -> None:
        """Store the plan of a run that starts at the first layer."""

    def restore(self, index: int, layer: nn.Module) -> LayerReport | None:
        """Set the layer's weights to the stored ones (on the CPU, in the model's stored dtype) and return their report.
        Return None and leave the layer unchanged when it was not stored."""

    def keep(self, index: int, layer: nn.Module, report: LayerReport) -> None:
        """Store a pruned layer (on the CPU, in the model's stored dtype) with its report."""
