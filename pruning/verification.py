"""Counting what a walk left: a matrix that missed its pattern is an error of the walk, not of its input."""

import torch
from jaxtyping import Float, Int
from torch import Tensor

from pruning.masks import count_true
from pruning.patterns import NofM, Pattern


class PatternMissed(RuntimeError):
    """A pruned matrix does not show the pattern that was asked for."""


def verified_sparsity(
    weight: Float[Tensor, "rows columns"], pattern: Pattern, order: Int[Tensor, " columns"] | None, place: str
) -> float:
    """The share of zeros in a pruned matrix.

    Raises PatternMissed, naming `place`, when there are fewer zeros than either rule (by row, by matrix) leaves, or a
    group of m (in `order`, if one is given) holds more than n weights.
    """
    zero = weight == 0
    rows, columns = weight.shape
    count = count_true(zero)
    if isinstance(pattern, NofM):
        groups = (zero if order is None else zero[:, order]).reshape(-1, pattern.m)
        zeros = groups.sum(dim=1, dtype=torch.uint8 if pattern.m < 256 else torch.int64)
        if over := count_true(zeros < pattern.m - pattern.n):
            raise PatternMissed(
                f"{place}: {over} of {len(groups)} groups hold more than {pattern.n} of {pattern.m} weights"
            )
    elif count < rows * int(columns * pattern.sparsity):
        raise PatternMissed(f"{place}: {count} of {weight.numel()} weights are zero, {pattern} were asked for")
    return count / weight.numel()
