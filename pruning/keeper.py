"""Where finished layers go, so that memory holds one at a time and a walk that was killed can go on.

The walk writes no files; whoever calls it hands in a keeper that does, or none.
"""

from dataclasses import dataclass
from typing import Protocol

from torch import nn

from prunescope.pruning.reports import LayerReport


@dataclass(frozen=True)
class Plan:
    """What a walk settled on before its first layer; going on from a later layer with other numbers would give other
    bits. batch: windows at once. sparsities: one per layer, where they differ."""

    batch: int | None
    sparsities: tuple[float, ...] | None


class Keeper(Protocol):
    """Keeps finished layers, and gives them back to a later walk with the same arguments over the same model.

    Layers come to `keep` in order, each once; after it has returned, the walk forgets the layer's weights. What a
    keeper raises passes through the walk.
    """

    def plan(self) -> Plan | None:
        """The plan of the walk that kept the layers; None when there is nothing to go on from."""

    def begin(self, plan: Plan) -> None:
        """Keep the plan of a walk that starts at the first layer."""

    def restore(self, index: int, layer: nn.Module) -> LayerReport | None:
        """Give the layer the weights that were kept (on the CPU, in the type they are stored in), and answer with the
        report that was kept with them; None, and the layer is as it was, when it was not kept."""

    def keep(self, index: int, layer: nn.Module, report: LayerReport) -> None:
        """Keep a pruned layer (on the CPU, in the type it is stored in) with its report."""
