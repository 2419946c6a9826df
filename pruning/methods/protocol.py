"""Base classes of pruning methods. A method decides which weights of a matrix are removed; `pruning.walk` does the
rest.

A method is a frozen dataclass whose fields are its options. There are two kinds: `WeightsOnly` uses only the weights,
`Calibrated` also uses statistics of the inputs. A calibrated method gets all linears that read the same input (q, k, v;
gate, up) together, with the statistics of this input.
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
    """A method's decision for one matrix.

    `keep`: mask of the weights that are kept. `updated`: new values of the weights, None if the method changes no kept
    weight; weights that are not kept become 0 in any case. `order`: the permutation of columns in which an n:m pattern
    holds; None for the stored order. `damping_retries`: how many times a factorisation failed and was repeated with ten
    times the damping. `parts`: the number of parts of the matrix with separate thresholds; in each of them, one weight
    more than the requested share may be removed. `holds`: the pattern of the zeros in the result, against which it is
    verified; None for the requested pattern. A method that removes nothing has `Unstructured(0)`.
    """

    keep: Bool[Tensor, "rows columns"]
    updated: Float[Tensor, "rows columns"] | None = None
    order: Int[Tensor, " columns"] | None = None
    damping_retries: int = 0
    parts: int = 1
    holds: Pattern | None = None


@runtime_checkable
class Statistics(Protocol):
    """Accumulates a method's statistics of one input in float32, micro-batch by micro-batch."""

    def add(self, inputs: Float[Tensor, "*tokens columns"], sequences: int) -> None: ...


S = TypeVar("S", bound=Statistics)


class WeightsOnly(ABC):
    """A method that needs no calibration."""

    @abstractmethod
    def decide(self, weight: Float[Tensor, "rows columns"], pattern: Pattern) -> Decision:
        """Decide which weights of one matrix (float32) are removed. The matrix must not be modified."""


class Calibrated(ABC, Generic[S]):
    """A method that uses statistics of each linear's inputs."""

    @abstractmethod
    def statistics(self, columns: int, device: torch.device) -> S:
        """Return empty statistics of an input with `columns` features."""

    @abstractmethod
    def decide(self, weights: Sequence[Float[Tensor, "_ columns"]], statistics: S, pattern: Pattern) -> list[Decision]:
        """Return the decisions for all matrices that read the same input, in their order. The matrices (float32) must
        not be modified.

        Raises BadInput when the statistics are unusable; `pruning.walk` adds the layer and the linears to the message.
        """
