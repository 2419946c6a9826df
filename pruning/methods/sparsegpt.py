"""SparseGPT (Frantar & Alistarh, arXiv 2301.00774): score_ij = W_ij^2 / U_jj^2, then the OBS update.

U is the upper Cholesky factor of the damped inverse Hessian, H^-1 = U^T U. Columns are processed from left to right.
Unstructured masks are chosen for a block of columns at once, by one threshold over all rows of a matrix, on weights
that were updated for earlier blocks. n:m masks are chosen for m columns at once, on weights that were updated for all
earlier columns. The change p_i of a column i is compensated in all later columns: W_j -= p_i U_ij / U_ii.

The published code adds the effect of each column to all later columns. Here each column collects the effects of the
earlier ones, which is the same sum, in matrix products at three levels: for a block, for a part of the block, and for
the columns that are decided together. A block needs only its own diagonal block U_bb of U. With R = U^-1
(`pruning.hessian`) and D = W - W' the change of all columns before the block, the block's update is (D R_b) U_bb, where
R_b are the rows of R before the block, in the block's columns. Matrices that read the same input are stacked and
processed as one, each with its own thresholds, and transposed, so that a column is contiguous.
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

PART = 32  # columns of a part of a block


@dataclass(frozen=True)
class SparseGPT(Calibrated[Hessian]):
    """Removes weights and updates the weights to the right of a removed weight to compensate for it.

    `damping`: added to the Hessian's diagonal, as a fraction of its mean. `block_columns`: the number of columns that
    share a threshold; n:m masks do not depend on it.
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
        blocks = sum(1 for _ in _spans(len(stacked), self.block_columns, _group_width(pattern)))
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
    """Prune and update the stacked matrices in place, and return the mask of kept weights. `upper` is R; `rows` are the
    matrices' row counts."""
    change = torch.empty_like(weight)
    keep = torch.empty_like(weight, dtype=torch.bool)
    blocks: dict[int, _Block] = {}  # by width; only the last block's may differ
    for span in _spans(len(weight), block_columns, _group_width(pattern)):
        before = weight[span]
        if len(before) not in blocks:
            blocks[len(before)] = _Block(torch.empty_like(before), pattern)
        block = blocks[len(before)]
        corner = torch.linalg.solve_triangular(upper[span, span], _identity(before), upper=True)
        torch.addmm(before, corner.T, upper[: span.start, span].T @ change[: span.start], out=block.weight)
        if not isinstance(pattern, NofM):
            scores = (block.weight / corner.diagonal().unsqueeze(1)).square_().split(rows, dim=1)
            block.removed.copy_(~torch.cat([keep_by_matrix(one, pattern) for one in scores], dim=1))
        block.prune(corner)
        torch.sub(before, block.weight, out=change[span])
        before.copy_(block.weight)
        torch.eq(block.removed, 0, out=keep[span])
    return keep


class _Block:
    """Buffers for the columns of one block and their changes, reused for every block of the same width.

    For a small matrix, indexing a column's tensors in Python takes longer than the arithmetic. So the steps of the loop
    over the columns are built once, as calls whose arguments are already bound.
    """

    def __init__(self, weight: Float[Tensor, "columns rows"], pattern: Pattern) -> None:
        self.weight = weight
        self.removed = torch.empty_like(weight)  # 1: removed, 0: kept; for n:m set by `prune`
        self._changes = torch.empty_like(weight)
        self._diagonal = weight.new_empty(len(weight), 1)
        self._share = weight.new_empty(len(weight), len(weight))
        self._steps = [*self._loop(pattern)]

    def prune(self, corner: Float[Tensor, "columns columns"]) -> None:
        """Prune and update the block's columns in place. `corner` is U_bb."""
        self._diagonal.copy_(corner.diagonal().unsqueeze(1))
        # The change of column i, times share[i, j], is subtracted from column j.
        torch.div(corner, self._diagonal, out=self._share)
        for step in self._steps:
            step()
        self.weight.sub_(self._changes)

    def _loop(self, pattern: Pattern) -> Iterator[Callable[[], object]]:
        """Yield the steps that prune and update the block's columns, from left to right."""
        group_width = _group_width(pattern)
        changes = [
            partial(torch.mul, *of, out=change)
            for *of, change in zip(self.weight, self.removed, self._changes, strict=True)
        ]
        for part in _spans(len(self.weight), PART, group_width):
            yield from self._gather(part, 0)
            for group in _spans(part.stop, group_width, group_width, part.start):
                yield from self._gather(group, part.start)
                if isinstance(pattern, NofM):
                    places = (self.weight[group], self._diagonal[group], self.removed[group])
                    yield partial(_choose, *places, pattern.m - pattern.n)
                for column in range(group.start, group.stop):
                    yield from self._gather(slice(column, column + 1), group.start)
                    yield changes[column]

    def _gather(self, columns: slice, start: int) -> Iterator[Callable[[], object]]:
        """Yield the step that updates the columns for all changes since column `start`; none if there are no columns
        between."""
        if start < columns.start:
            share, change = self._share[start : columns.start, columns], self._changes[start : columns.start]
            yield partial(self.weight[columns].addmm_, share.T, change, alpha=-1)


def _choose(
    weight: Float[Tensor, "m rows"], diagonal: Float[Tensor, "m 1"], removed: Float[Tensor, "m rows"], count: int
) -> None:
    """Write into `removed` the mask of the `count` weights of these columns that are removed in each row."""
    removed.copy_(lowest((weight / diagonal).square_().T, count).T)


def _group_width(pattern: Pattern) -> int:
    """Return the number of columns that are decided together: m for n:m, else 1, because unstructured masks are chosen
    for the whole block before its loop."""
    return pattern.m if isinstance(pattern, NofM) else 1


def _identity(like: Float[Tensor, "columns rows"]) -> Float[Tensor, "columns columns"]:
    return torch.eye(len(like), device=like.device)


def _spans(stop: int, width: int, group_width: int, start: int = 0) -> Iterator[slice]:
    """Yield slices of at most `width` columns from `start` to `stop`, each a whole number of groups of `group_width`
    columns."""
    step = max(1, width // group_width) * group_width
    for first in range(start, stop, step):
        yield slice(first, min(first + step, stop))
