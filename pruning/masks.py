"""Scores to masks, with the exact rules for ties.

    by row       exactly int(columns * sparsity) lowest of each row go; among equals the first ones in the row
    by matrix    the value at position int(numel * sparsity) of the sorted scores is the threshold, and everything up
                 to it goes, equals included (as in Wanda's published magnitude pruning); sparsity 0 takes nothing
    n:m          of each m consecutive columns in a row the m-n lowest go; among equals the first ones

No sort is needed for a threshold: on a CPU NumPy's partition finds it several times faster than PyTorch.
"""

import numpy as np
import torch
from jaxtyping import Bool, Float
from torch import Tensor

from pruning.patterns import NofM, Pattern, Unstructured

WIDEST_SORT = 64  # on a GPU: rows up to this length are sorted whole


def keep_by_row(scores: Float[Tensor, "rows columns"], pattern: Pattern) -> Bool[Tensor, "rows columns"]:
    """The weights that stay when each row loses its share (or each group of m its m-n). Raises BadPattern."""
    match pattern:
        case Unstructured(sparsity):
            return ~lowest(scores, int(scores.shape[1] * sparsity))
        case NofM():
            return keep_n_of_m(scores, pattern)


def keep_by_matrix(scores: Float[Tensor, "rows columns"], pattern: Pattern) -> Bool[Tensor, "rows columns"]:
    """The weights that stay when one threshold holds for the whole matrix (n:m is by group as ever)."""
    match pattern:
        case Unstructured(sparsity) if sparsity == 0:
            return torch.ones_like(scores, dtype=torch.bool)
        case Unstructured(sparsity):
            return scores > _kth_smallest(scores.reshape(1, -1), int(scores.numel() * sparsity) + 1)
        case NofM():
            return keep_n_of_m(scores, pattern)


def keep_n_of_m(scores: Float[Tensor, "rows columns"], pattern: NofM) -> Bool[Tensor, "rows columns"]:
    """The n highest of each m consecutive columns. Raises BadPattern when m does not divide the columns."""
    rows, columns = scores.shape
    pattern.check_fits(columns, f"a matrix of {rows} rows")
    return ~lowest(scores.reshape(-1, pattern.m), pattern.m - pattern.n).view(rows, columns)


def lowest(scores: Float[Tensor, "rows columns"], count: int) -> Bool[Tensor, "rows columns"]:
    """True for exactly the `count` lowest scores of each row; among equals the first ones.

    >>> lowest(torch.tensor([[1.0, 3.0, 1.0, 1.0]]), 2)
    tensor([[ True, False,  True, False]])
    """
    if count == 0:
        return torch.zeros_like(scores, dtype=torch.bool)
    threshold = _kth_smallest(scores, count)
    chosen = scores <= threshold
    tied = chosen.sum(dim=1) > count
    if bool(tied.any()):
        below = scores[tied] < threshold[tied]
        equal = scores[tied] == threshold[tied]
        missing = count - below.sum(dim=1, keepdim=True)
        chosen[tied] = below | (equal & (equal.cumsum(dim=1) <= missing))
    return chosen


def _kth_smallest(scores: Float[Tensor, "rows columns"], k: int) -> Float[Tensor, "rows 1"]:
    """Each row's k-th smallest value, k from 1."""
    if scores.device.type == "cpu":
        partitioned = np.partition(scores.numpy(), k - 1, axis=1)
        return torch.from_numpy(partitioned[:, k - 1 : k].copy())
    if scores.shape[1] <= WIDEST_SORT:
        return scores.sort(dim=1).values[:, k - 1 : k]
    return scores.kthvalue(k, dim=1, keepdim=True).values
