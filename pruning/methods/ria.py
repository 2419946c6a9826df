"""RIA (Zhang et al., arXiv 2402.05406): relative importance of each weight times the norm of its input.

    score_ij = (|W_ij| / sum_k |W_kj| + |W_ij| / sum_k |W_ik|) * ||x_j||^a

Scores are compared within the whole matrix (or each row). A weight that is small overall but large in its row or column
is kept, so that no channel becomes all zero. For n:m patterns, the columns may be permuted first
(`pruning.permutation`). Sums are float32. Kept weights are not changed or moved.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import torch
from jaxtyping import Float
from torch import Tensor

from prunescope.lm.errors import BadInput
from prunescope.pruning.masks import keep_by_matrix, keep_by_row, keep_n_of_m
from prunescope.pruning.methods.protocol import Calibrated, Decision
from prunescope.pruning.patterns import NofM, Pattern
from prunescope.pruning.permutation import assigned, reallocated
from prunescope.pruning.statistics import InputNorms

Within = Literal["matrix", "row"]
Permutation = Literal["none", "reallocation", "assignment"]


@dataclass(frozen=True)
class RIA(Calibrated[InputNorms]):
    """Removes weights with little importance relative to their row and column.

    `exponent`: power of the inputs' norms. `within`: whether scores are compared within the whole matrix or each row.
    `permutation`: how the order of columns for n:m is chosen; unstructured masks do not depend on it. `subgroups`: the
    number of sets into which the groups of columns are split for the assignment, for wide matrices.
    """

    exponent: float = 0.5
    within: Within = "matrix"
    permutation: Permutation = "none"
    subgroups: int = 1

    def __post_init__(self) -> None:
        if not (math.isfinite(self.exponent) and self.exponent >= 0):
            raise BadInput(f"exponent {self.exponent} is below 0: give a power of the inputs' norms, such as 0.5")
        _check_choice("within", self.within, ("matrix", "row"))
        _check_choice("permutation", self.permutation, ("none", "reallocation", "assignment"))
        if self.subgroups < 1:
            raise BadInput(f"subgroups {self.subgroups} is not above 0: give a number of sub-groups, such as 4")

    def statistics(self, columns: int, device: torch.device) -> InputNorms:
        return InputNorms(columns, device)

    def decide(
        self, weights: Sequence[Float[Tensor, "_ columns"]], statistics: InputNorms, pattern: Pattern
    ) -> list[Decision]:
        norms = statistics.norms()
        return [self._decision(ria_scores(weight, norms, self.exponent), pattern) for weight in weights]

    def _decision(self, scores: Float[Tensor, "rows columns"], pattern: Pattern) -> Decision:
        if not isinstance(pattern, NofM):
            return Decision((keep_by_row if self.within == "row" else keep_by_matrix)(scores, pattern))
        if self.permutation == "none":
            return Decision(keep_n_of_m(scores, pattern))
        order = reallocated(scores, pattern)
        if self.permutation == "assignment":
            order = assigned(scores, pattern, order, self.subgroups)
        keep = torch.empty_like(scores, dtype=torch.bool)
        keep[:, order] = keep_n_of_m(scores[:, order], pattern)
        return Decision(keep, order=order)


def ria_scores(
    weight: Float[Tensor, "rows columns"], norms: Float[Tensor, " columns"], exponent: float
) -> Float[Tensor, "rows columns"]:
    """Return |W| relative to the sum of its column plus |W| relative to the sum of its row, times the inputs' norms to
    the power `exponent`; 0 where W is 0."""
    magnitude = weight.abs()
    least = torch.finfo(magnitude.dtype).tiny  # avoids 0/0 in a row or column of zeros
    by_column = magnitude / magnitude.sum(dim=0).clamp_min(least)
    by_row = magnitude / magnitude.sum(dim=1, keepdim=True).clamp_min(least)
    return by_column.add_(by_row).mul_(norms**exponent)


def _check_choice(option: str, value: str, known: tuple[str, ...]) -> None:
    if value not in known:
        raise BadInput(f"{option} {value!r} is unknown; known: {', '.join(known)}")
