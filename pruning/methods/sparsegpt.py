"""SparseGPT (Frantar & Alistarh, arXiv 2301.00774): score_ij = W_ij^2 / U_jj^2, then the OBS update.

U is the upper Cholesky factor of the damped inverse Hessian, H^-1 = U^T U. Columns are visited from left to right.
Unstructured masks are chosen for a block of columns at once, by one threshold over all rows of a matrix, on weights
that earlier blocks have updated; n:m masks for m columns at once, on weights that all earlier columns have updated. The
change p_i of a column i is compensated in all later ones: W_j -= p_i U_ij / U_ii.

The published code adds the effect of each column to all later ones. Here each column collects the effects of the
earlier ones, which is the same sum, in matrix products at three levels: for a block, for a part of the block, and for
the columns that are decided together. A block needs only its own diagonal block U_bb of U: with R = U^-1
(`pruning.hessian`) and D = W - W' the change of all columns before the block, its update is (D R_b) U_bb, where R_b are
the rows of R before it. Matrices that read the same input are processed as one, each with its own thresholds, and
transposed, so that a column is contiguous.
"""

import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial

import torch
from jaxtyping import Bool, Float
from torch import Tensor

from prunescope.lm.errors import BadInput
from prunescope.pruning.hessian import Hessian, factorise
from prunescope.pruning.masks import keep_by_matrix, lowest
from prunescope.pruning.methods.protocol import Calibrated, Decision
from prunescope.pruning.patterns import NofM, Pattern, Unstructured

PART = 32


@dataclass(frozen=True)
class SparseGPT(Calibrated[Hessian]):
    """Updates the weights to the right of a removed weight to compensate for it.

    damping: added to the Hessian's diagonal, as a fraction of its mean. block_columns: the number of columns that share
    a threshold; n:m masks do not depend on it.
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
        if isinstance(pattern, NofM):
            pattern.check_fits(weights[0].shape[1], "a matrix")
        if pattern == Unstructured(0):
            return [Decision(torch.ones_like(weight, dtype=torch.bool)) for weight in weights]
        factor = factorise(statistics.matrix(), self.damping)
        stacked = torch.cat(list(weights)).T.contiguous()
        stacked[factor.dead] = 0
        rows = [len(weight) for weight in weights]
        blocks = sum(1 for _ in _spans(len(stacked), self.block_columns, _together(pattern)))
        keep = _prune(stacked, factor.upper, rows, pattern, self.block_columns)
        return [
            Decision(one_keep.T, updated.T, damping_retries=factor.retries, parts=blocks)
            for one_keep, updated in zip(keep.split(rows, dim=1), stacked.split(rows, dim=1), strict=True)
        ]


def _prune(
    weight: Float[Tensor, "columns rows"],
    upper: Float[Tensor, "columns columns"],
    rows: list[int],
    pattern: Pattern,
    block_columns: int,
) -> Bool[Tensor, "columns rows"]:
    """Prune and update the stacked matrices in place and return the mask of kept weights. `upper` is R."""
    change = torch.empty_like(weight)
    keep = torch.empty_like(weight, dtype=torch.bool)
    blocks: dict[int, _Block] = {}  # by width, which only the last block does not share
    for span in _spans(len(weight), block_columns, _together(pattern)):
        before = weight[span]
        if len(before) not in blocks:
            blocks[len(before)] = _Block(torch.empty_like(before), pattern)
        block = blocks[len(before)]
        corner = torch.linalg.solve_triangular(upper[span, span], _identity(before), upper=True)
        torch.addmm(before, corner.T, upper[: span.start, span].T @ change[: span.start], out=block.weight)
        if not isinstance(pattern, NofM):
            scores = (block.weight / corner.diagonal().unsqueeze(1)).square_().split(rows, dim=1)
            block.gone.copy_(~torch.cat([keep_by_matrix(one, pattern) for one in scores], dim=1))
        block.prune(corner)
        torch.sub(before, block.weight, out=change[span])
        before.copy_(block.weight)
        torch.eq(block.gone, 0, out=keep[span])
    return keep


class _Block:
    """Buffers for the columns of one block and their changes, reused for every block of the same width.

    For a small matrix, indexing a column's tensors in Python takes longer than the arithmetic. So the steps of the loop
    are built once, as calls whose arguments are already bound.
    """

    def __init__(self, weight: Float[Tensor, "columns rows"], pattern: Pattern) -> None:
        self.weight = weight
        self.gone = torch.empty_like(weight)  # 1 for a removed weight and 0 for a kept one; `prune` fills it in for n:m
        self._lost = torch.empty_like(weight)
        self._diagonal = weight.new_empty(len(weight), 1)
        self._share = weight.new_empty(len(weight), len(weight))
        self._steps = [*self._loop(pattern)]

    def prune(self, corner: Float[Tensor, "columns columns"]) -> None:
        """Prune and update the block's columns in place. `corner` is U_bb."""
        self._diagonal.copy_(corner.diagonal().unsqueeze(1))
        # share[i, j] of column i's change is subtracted from column j.
        torch.div(corner, self._diagonal, out=self._share)
        for step in self._steps:
            step()
        self.weight.sub_(self._lost)

    def _loop(self, pattern: Pattern) -> Iterator[Callable[[], object]]:
        together = _together(pattern)
        losses = [
            partial(torch.mul, *of, out=lost) for *of, lost in zip(self.weight, self.gone, self._lost, strict=True)
        ]
        for part in _spans(len(self.weight), PART, together):
            yield from self._gather(part, 0)
            for group in _spans(part.stop, together, together, part.start):
                yield from self._gather(group, part.start)
                if isinstance(pattern, NofM):
                    places = (self.weight[group], self._diagonal[group], self.gone[group])
                    yield partial(_choose, *places, pattern.m - pattern.n)
                for column in range(group.start, group.stop):
                    yield from self._gather(slice(column, column + 1), group.start)
                    yield losses[column]

    def _gather(self, columns: slice, start: int) -> Iterator[Callable[[], object]]:
        """Update the columns with all changes since column `start`."""
        if start < columns.start:
            share, lost = self._share[start : columns.start, columns], self._lost[start : columns.start]
            yield partial(self.weight[columns].addmm_, share.T, lost, alpha=-1)


def _choose(
    weight: Float[Tensor, "m rows"], diagonal: Float[Tensor, "m 1"], gone: Float[Tensor, "m rows"], count: int
) -> None:
    """Write into `gone` which `count` of these columns' weights are removed in each row."""
    gone.copy_(lowest((weight / diagonal).square_().T, count).T)


def _together(pattern: Pattern) -> int:
    """The number of columns that are decided together: m for n:m, else 1, because masks are chosen for the whole
    block."""
    return pattern.m if isinstance(pattern, NofM) else 1


def _identity(like: Float[Tensor, "columns rows"]) -> Float[Tensor, "columns columns"]:
    return torch.eye(len(like), device=like.device)


def _spans(stop: int, width: int, together: int, start: int = 0) -> Iterator[slice]:
    """Slices of at most `width` columns from `start` to `stop`, each made of whole groups of `together` columns."""
    step = max(1, width // together) * together
    for first in range(start, stop, step):
        yield slice(first, min(first + step, stop))
