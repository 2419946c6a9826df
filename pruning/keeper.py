"""The interface for storing finished layers, so that memory holds one layer at a time and an interrupted run can
resume.

`pruning.walk` writes no files itself; its caller may pass a keeper that writes them.
"""

from dataclasses import dataclass
from typing import Protocol

from torch import nn

from prunescope.pruning.reports import LayerReport


@dataclass(frozen=True)
class Plan:
    """Parameters that a run determines before its first layer and that a resumed run must use again, because other
    values would change the result. `batch`: windows per micro-batch; None without calibration. `sparsities`: one per
    layer; None when every layer has the requested pattern."""

    batch: int | None
    sparsities: tuple[float, ...] | None


class Keeper(Protocol):
    """Stores finished layers, and restores them in a later run with the same arguments on the same model.

    `keep` is called once for each pruned layer, in order; after it returns, the layer's weights are freed. Exceptions
    of a keeper propagate to the caller of `prune`.
    """

    def plan(self) -> Plan | None:
        """Return the plan of the run that stored the layers; None when there is nothing to resume."""

    def begin(self, plan: Plan) -> None:
        """Store the plan of a run that resumes no layers. Called once, before the first layer is pruned."""

    def restore(self, index: int, layer: nn.Module) -> LayerReport | None:
        """Set the layer's weights to the stored ones (on the CPU, in the model's stored dtype) and return the stored
        report. Return None and leave the layer unchanged if it was not stored."""

    def keep(self, index: int, layer: nn.Module, report: LayerReport) -> None:
        """Store a pruned layer (on the CPU, in the model's stored dtype) with its report."""
