"""Turns scores into masks of kept weights, with exact rules for ties.

    by row       exactly the int(columns * sparsity) lowest scores of each row are removed; of tied scores, the first
    by matrix    exactly the int(numel * sparsity) + 1 lowest are removed, one more than the share: in the published
                 code the score at position int(numel * sparsity) is the threshold and is removed too; of tied scores,
                 the first, row by row (the published code removes all of them); sparsity 0 removes nothing
    n:m          of each m consecutive columns in a row, the m-n lowest are removed; of tied scores, the first

Thresholds are found without sorting. On a CPU this is NumPy's partition, 20 times as fast as a sort, or, for groups of
a few weights, a sorting network of minima and maxima. On a GPU such groups are decided by pairwise comparisons.
"""

from collections.abc import Iterator
from functools import cache

import numpy as np
import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

from prunescope.pruning.patterns import NofM, Pattern

WIDEST_NETWORK = 16  # columns up to which a sorting network or pairwise comparisons are used


def keep_by_row(scores: Float[Tensor, "rows columns"], pattern: Pattern) -> Bool[Tensor, "rows columns"]:
    """Return the mask of kept weights when scores are compared within each row (for n:m within each group of m). Raises
    BadPattern when m does not divide the columns."""
    if isinstance(pattern, NofM):
        return keep_n_of_m(scores, pattern)
    return ~lowest(scores, int(scores.shape[1] * pattern.sparsity))


def keep_by_matrix(scores: Float[Tensor, "rows columns"], pattern: Pattern) -> Bool[Tensor, "rows columns"]:
    """Return the mask of kept weights when scores are compared within the whole matrix (for n:m within each group of
    m). Raises BadPattern when m does not divide the columns."""
    if isinstance(pattern, NofM):
        return keep_n_of_m(scores, pattern)
    if pattern.sparsity == 0:
        return torch.ones_like(scores, dtype=torch.bool)
    flat = scores.reshape(-1)
    count = int(flat.numel() * pattern.sparsity) + 1
    threshold = _kth_smallest(flat.unsqueeze(0), count).squeeze()
    keep = flat > threshold
    excess = flat.numel() - count_true(keep) - count
    if excess > 0:
        keep[_positions(flat == threshold)[-excess:]] = True
    return keep.view_as(scores)


def keep_n_of_m(scores: Float[Tensor, "rows columns"], pattern: NofM) -> Bool[Tensor, "rows columns"]:
    """Return the mask of the n highest of each m consecutive columns. Raises BadPattern when m does not divide the
    columns."""
    rows, columns = scores.shape
    pattern.check_fits(columns, f"a matrix of {rows} rows")
    return ~lowest(scores.reshape(-1, pattern.m), pattern.m - pattern.n).view(rows, columns)


def lowest(scores: Float[Tensor, "rows columns"], count: int) -> Bool[Tensor, "rows columns"]:
    """Return a mask of exactly the `count` lowest scores of each row; of tied scores, the first.

    >>> lowest(torch.tensor([[1.0, 3.0, 1.0, 1.0]]), 2)
    tensor([[ True, False,  True, False]])
    """
    if count == 0:
        return torch.zeros_like(scores, dtype=torch.bool)
    if scores.device.type == "cuda" and scores.shape[1] <= WIDEST_NETWORK:
        return lowest_by_counting(scores, count)
    threshold = _kth_smallest(scores, count)
    chosen = scores <= threshold
    if count_true(chosen) > count * len(scores):
        tied = chosen.sum(dim=1) > count
        below = scores[tied] < threshold[tied]
        equal = scores[tied] == threshold[tied]
        missing = count - below.sum(dim=1, keepdim=True)
        chosen[tied] = below | (equal & (equal.cumsum(dim=1) <= missing))
    return chosen


def lowest_by_counting(scores: Float[Tensor, "rows columns"], count: int) -> Bool[Tensor, "rows columns"]:
    """Return the same mask as `lowest`, by comparing each pair of columns; for a few columns. Unlike `lowest`, which
    has to read back from a GPU whether there are ties, it needs no synchronisation. SparseGPT calls it for every m
    columns of a matrix."""
    slots = scores.unbind(dim=1)
    chosen = torch.empty_like(scores, dtype=torch.bool)
    for place, slot in enumerate(slots):
        lower = torch.zeros_like(slot, dtype=torch.uint8)
        for other, score in enumerate(slots):
            if other != place:
                lower += score <= slot if other < place else score < slot
        torch.lt(lower, count, out=chosen[:, place])
    return chosen


def count_true(mask: Bool[Tensor, "*axes"]) -> int:
    """Return the number of True elements. NumPy counts bytes directly; PyTorch would first convert them to 64-bit
    integers."""
    return int(np.count_nonzero(mask.numpy())) if mask.device.type == "cpu" else int(mask.sum())


def _positions(mask: Bool[Tensor, " weights"]) -> Int[Tensor, " true"]:
    """Return the indices of the True elements; on a CPU with NumPy, which takes half of PyTorch's time."""
    if mask.device.type == "cpu":
        return torch.from_numpy(np.flatnonzero(mask.numpy()))
    return mask.nonzero()[:, 0]


def _kth_smallest(scores: Float[Tensor, "rows columns"], k: int) -> Float[Tensor, "rows 1"]:
    """Return each row's k-th smallest value, with k from 1."""
    if scores.shape[1] <= WIDEST_NETWORK:
        slots = list(scores.unbind(dim=1))
        for low, high, lower, higher in _selection_network(len(slots), k - 1):
            one, other = slots[low], slots[high]
            if lower:
                slots[low] = torch.minimum(one, other)
            if higher:
                slots[high] = torch.maximum(one, other)
        return slots[k - 1].unsqueeze(1)
    if scores.device.type == "cpu":
        partitioned = np.partition(scores.numpy(), k - 1, axis=1)
        return torch.from_numpy(partitioned[:, k - 1 : k].copy())
    return scores.kthvalue(k, dim=1, keepdim=True).values


@cache
def _selection_network(count: int, wanted: int) -> list[tuple[int, int, bool, bool]]:
    """Return the steps of a sorting network of `count` values that determine the value of rank `wanted`, from 0: (low,
    high, whether the minimum is needed, whether the maximum is needed)."""
    needed, steps = {wanted}, []
    for low, high in reversed([*_sorting_network(count)]):
        if low in needed or high in needed:
            steps.append((low, high, low in needed, high in needed))
            needed |= {low, high}
    return steps[::-1]


def _sorting_network(count: int) -> Iterator[tuple[int, int]]:
    """Yield the pairs of positions compared by Batcher's odd-even merge sort (Knuth, TAOCP 3, algorithm 5.2.2M)."""
    top = 1 << (count - 1).bit_length() >> 1
    size = top
    while size > 0:
        first, offset, distance = 0, top, size
        while True:
            yield from ((low, low + distance) for low in range(count - distance) if low & size == first)
            if offset == size:
                break
            first, distance, offset = size, offset - size, offset >> 1
        size >>= 1
