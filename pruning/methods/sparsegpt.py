"""SparseGPT (Frantar & Alistarh, arXiv 2301.00774): score_ij = W_ij^2 / U_jj^2, then the OBS update.

U is the upper Cholesky factor of the damped inverse Hessian, H^-1 = U^T U. Columns are visited from left to right.
Unstructured masks are chosen for a block of columns at once, by one threshold over all rows of a matrix, on weights
that earlier blocks have updated; n:m masks for m columns at once, on weights that all earlier columns have updated.
What a column i loses, p_i, is made up for in all later ones: W_j -= p_i U_ij / U_ii.

The published code writes the loss of each column into the later ones. Here columns gather from the earlier ones, which
is the same sum, in steps of growing detail, each of them a matrix product: for a block, for a part of the block, and
for the columns that are decided together. A block needs no more of U than its own corner: with R = U^-1
(`pruning.hessian`) and D = W - W' the change of all columns before the block, it receives (D R_b) U_bb, R_b being the
rows of R before it. Matrices that read the same input go through as one, each with thresholds of its own, and lie
transposed, so that a column is contiguous.
"""

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import torch
from jaxtyping import Bool, Float
from torch import Tensor

from lm.errors import BadInput
from pruning.hessian import Hessian, factorise
from pruning.masks import keep_by_matrix, keep_n_of_m
from pruning.methods.protocol import Calibrated, Decision
from pruning.patterns import NofM, Pattern, Unstructured

PART = 32


@dataclass(frozen=True)
class SparseGPT(Calibrated[Hessian]):
    """What goes is made up for by the weights to its right.

    damping: added to the Hessian's diagonal, as a share of its mean. block_columns: how many columns share a threshold;
    n:m masks do not depend on it.
    """

    damping: float = 0.01
    block_columns: int = 128

    def __post_init__(self) -> None:
        if not (math.isfinite(self.damping) and self.damping > 0):
            raise BadInput(f"damping {self.damping} is not above 0: give a share of the mean diagonal, such as 0.01")
        if self.block_columns < 1:
            raise BadInput(f"block_columns {self.block_columns} is not above 0: give a number of columns, such as 128")

    def statistics(self, columns: int, device: torch.device) -> Hessian:
        return Hessian(columns, device)

    def decide(
        self, weights: Sequence[Float[Tensor, "_ columns"]], statistics: Hessian, pattern: Pattern
    ) -> list[Decision]:
        if pattern == Unstructured(0):
            return [Decision(torch.ones_like(weight, dtype=torch.bool)) for weight in weights]
        factor = factorise(statistics.matrix(), self.damping)
        stacked = torch.cat(list(weights)).T.contiguous()
        stacked[factor.dead] = 0
        rows = [len(weight) for weight in weights]
        keep = _prune(stacked, factor.upper, rows, pattern, self.block_columns)
        return [
            Decision(one_keep.T, updated.T, damping_retries=factor.retries)
            for one_keep, updated in zip(keep.split(rows, dim=1), stacked.split(rows, dim=1), strict=True)
        ]


def _prune(
    weight: Float[Tensor, "columns rows"],
    upper: Float[Tensor, "columns columns"],
    rows: list[int],
    pattern: Pattern,
    block_columns: int,
) -> Bool[Tensor, "columns rows"]:
    """Prune and update the stacked matrices in place, and say what was kept. `upper` is R."""
    change = torch.empty_like(weight)
    keep = torch.empty_like(weight, dtype=torch.bool)
    for block in _spans(len(weight), block_columns, _together(pattern)):
        values, before = weight[block], weight[block].clone()
        corner = torch.linalg.solve_triangular(upper[block, block], _identity(before), upper=True)
        values.addmm_(corner.T, upper[: block.start, block].T @ change[: block.start])
        if not isinstance(pattern, NofM):
            scores = (values / corner.diagonal().unsqueeze(1)).square_().split(rows, dim=1)
            keep[block] = torch.cat([keep_by_matrix(one, pattern) for one in scores], dim=1)
        _prune_block(values, corner, keep[block], pattern)
        torch.sub(before, values, out=change[block])
    return keep


def _prune_block(
    weight: Float[Tensor, "columns rows"],
    corner: Float[Tensor, "columns columns"],
    keep: Bool[Tensor, "columns rows"],
    pattern: Pattern,
) -> None:
    """Prune and update the columns of one block in place. `corner` is U_bb; `keep` is filled in where it is n:m."""
    together = _together(pattern)
    diagonal = corner.diagonal().unsqueeze(1)
    share = corner / diagonal  # of what column i loses, share[i, j] is taken from column j
    lost, zero = torch.empty_like(weight), weight.new_zeros(())

    def gather(columns: slice, start: int) -> None:
        """Bring the columns up to date with all losses since column `start`."""
        if start < columns.start:
            weight[columns].addmm_(share[start : columns.start, columns].T, lost[start : columns.start], alpha=-1)

    for part in _spans(len(weight), PART, together):
        gather(part, 0)
        for group in _spans(part.stop, together, together, part.start):
            gather(group, part.start)
            if isinstance(pattern, NofM):
                scores = (weight[group] / diagonal[group]).square_()
                keep[group] = keep_n_of_m(scores.T, pattern).T
            for column in range(group.start, group.stop):
                gather(slice(column, column + 1), group.start)
                torch.where(keep[column], zero, weight[column], out=lost[column])
    weight.sub_(lost)


def _together(pattern: Pattern) -> int:
    """How many columns are decided at once, when the mask is not that of a whole block."""
    return pattern.m if isinstance(pattern, NofM) else 1


def _identity(like: Float[Tensor, "columns rows"]) -> Float[Tensor, "columns columns"]:
    return torch.eye(len(like), device=like.device)


def _spans(stop: int, width: int, together: int, start: int = 0) -> Iterator[slice]:
    """The columns in spans of at most `width`, but of whole groups of `together` in any case."""
    step = max(1, width // together) * together
    for first in range(start, stop, step):
        yield slice(first, min(first + step, stop))
