"""What a pruning method is: the part that differs, one file each. The walk does everything else.

A method is a frozen dataclass whose fields are its options. There are two kinds: `WeightsOnly` looks at the weights
alone, `Calibrated` also at statistics of the inputs. All linears that read the same input (q, k, v; gate, up) come to
a calibrated method together with the one statistics object of that input.
"""

from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Generic, Protocol, TypeVar, runtime_checkable

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

from prunescope.pruning.patterns import Pattern


@dataclass(frozen=True)
class Decision:
    """What becomes of one matrix.

    keep: the weights that stay. updated: new values, where the method moves what stays; those not kept become 0 in any
    case. order: the columns' order in which an n:m pattern holds, where the method chose another than the stored one.
    damping_retries: how often a factorisation failed and was tried again with ten times the damping. parts: in how many
    parts of the matrix weights competed, each of which may lose one weight more than its share.
    """

    keep: Bool[Tensor, "rows columns"]
    updated: Float[Tensor, "rows columns"] | None = None
    order: Int[Tensor, " columns"] | None = None
    damping_retries: int = 0
    parts: int = 1


@runtime_checkable
class Statistics(Protocol):
    """Gathers what a method wants to know of one input, micro-batch by micro-batch, in float32."""

    def add(self, inputs: Float[Tensor, "*tokens columns"], sequences: int) -> None: ...


S = TypeVar("S", bound=Statistics)


class WeightsOnly(ABC):
    """A method that needs no calibration."""

    @abstractmethod
    def decide(self, weight: Float[Tensor, "rows columns"], pattern: Pattern) -> Decision:
        """Decide for one matrix (float32); it is not to be changed."""


class Calibrated(ABC, Generic[S]):
    """A method that looks at the inputs of each linear."""

    @abstractmethod
    def statistics(self, columns: int, device: torch.device) -> S:
        """Empty statistics of an input with that many features."""

    @abstractmethod
    def decide(self, weights: Sequence[Float[Tensor, "_ columns"]], statistics: S, pattern: Pattern) -> list[Decision]:
        """Decide for all matrices (float32, not to be changed) that read the same input, in their order.

        Raises BadInput when the statistics cannot be used; the walk adds the place.
        """
