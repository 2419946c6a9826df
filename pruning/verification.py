"""Counting what a walk left: a matrix that missed its pattern is an error of the walk, not of its input."""

from typing import assert_never

import torch
from jaxtyping import Float, Int
from torch import Tensor

from pruning.masks import count_true
from pruning.patterns import NofM, Pattern, Unstructured


class PatternMissed(RuntimeError):
    """A pruned matrix does not show the pattern that was asked for."""


def verified_sparsity(
    weight: Float[Tensor, "rows columns"], pattern: Pattern, order: Int[Tensor, " columns"] | None, place: str
) -> float:
    """The share of zeros in a pruned matrix.

    Raises PatternMissed, naming `place`, when a row-wise or matrix-wise rule would have left more zeros, or a group of
    m (in `order`, if one is given) holds more than n weights.
    """
    zero = weight == 0
    rows, columns = weight.shape
    count = count_true(zero)
    match pattern:
        case Unstructured(sparsity):
            if count < rows * int(columns * sparsity):
                raise PatternMissed(
                    f"{place}: {count} of {weight.numel()} weights are zero, {sparsity:g} were asked for"
                )
        case NofM(n, m):
            groups = (zero if order is None else zero[:, order]).reshape(-1, m)
            zeros = groups.sum(dim=1, dtype=torch.uint8 if m < 256 else torch.int64)
            over = count_true(zeros < m - n)
            if over:
                raise PatternMissed(f"{place}: {over} of {len(groups)} groups hold more than {n} of {m} weights")
        case _:
            assert_never(pattern)
    return count / weight.numel()
