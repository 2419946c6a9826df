"""Counting what a walk left: the zeros of each matrix beside what was asked for."""

from typing import ClassVar

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

from prunescope.lm.errors import BadInput
from prunescope.pruning.masks import count_true
from prunescope.pruning.patterns import NofM, Pattern

MAX_DEVIATION = 0.01
"""How far a matrix may be from the share that was asked for, by the rules of its method, without a word about it."""


class PatternMissed(BadInput):
    """A pruned matrix does not show the pattern that was asked for."""

    code: ClassVar[str] = "pattern-missed"


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


def sparsity_note(sparsity: float, keep: Bool[Tensor, "rows columns"], pattern: Pattern, parts: int, place: str) -> str:
    """Why a pruned matrix has another share of zeros than was asked for; empty within `MAX_DEVIATION`.

    `keep` is the mask, chosen in `parts` parts of the matrix by themselves. Weights that it keeps and that are zero
    nevertheless were zero before, or have an input that is always zero (SparseGPT), or round to zero.

    Raises PatternMissed, naming `place`, when the mask takes a percentage point more than was asked for, beyond the one
    weight that a method's rule takes more in each part.
    """
    asked = share_asked(pattern)
    if abs(sparsity - asked) <= MAX_DEVIATION + 1e-9:
        return ""
    total = keep.numel()
    gone = total - count_true(keep)
    if gone > total * asked + max(MAX_DEVIATION * total, parts):
        raise PatternMissed(
            f"{place}: the mask takes {gone} of {total} weights ({gone / total:.1%}), {pattern} were asked for; choose "
            f"another method, or another sparsity"
        )
    reasons = []
    if abs(gone / total - asked) > MAX_DEVIATION:
        reasons.append(f"whole weights go, and the {' x '.join(map(str, keep.shape))} matrix has few")
    if kept_zeros := round(sparsity * total) - gone:
        reasons.append(
            f"{kept_zeros} weights are zero that the mask keeps: they were zero before, their input is always zero, or "
            f"they round to zero"
        )
    return f"{sparsity:.1%} zeros, {asked:.1%} asked for: {'; '.join(reasons)}"


def share_asked(pattern: Pattern) -> float:
    """The share of a matrix that goes by the pattern."""
    return 1 - pattern.n / pattern.m if isinstance(pattern, NofM) else pattern.sparsity
