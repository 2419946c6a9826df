"""Verifies a pruned matrix: counts its zeros and compares them with the requested pattern."""

from typing import ClassVar

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

from prunescope.lm.errors import BadInput
from prunescope.pruning.masks import count_true
from prunescope.pruning.patterns import NofM, Pattern

MAX_DEVIATION = 0.01
"""Tolerated difference between a matrix's share of zeros and the requested share; a larger one gets a note or is an
error."""


class PatternMissed(BadInput):
    """A pruned matrix does not have the requested pattern."""

    code: ClassVar[str] = "pattern-missed"


def verified_sparsity(
    weight: Float[Tensor, "rows columns"], pattern: Pattern, order: Int[Tensor, " columns"] | None, place: str
) -> float:
    """Return the share of zeros in a pruned matrix, after checking the zeros against the pattern.

    Raises PatternMissed, with `place` in the message, when there are fewer zeros than removal by row guarantees
    (removal by matrix guarantees at least as many; see `pruning.masks`), or when a group of m columns (in `order`, if
    given) has more than n non-zero weights.
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
    """Return the reason why a pruned matrix's share of zeros differs from the requested share; empty if the difference
    is within `MAX_DEVIATION`.

    `keep` is the mask, chosen separately in `parts` parts of the matrix. Weights that are kept but zero were zero
    before, have an input that is always zero (SparseGPT), or round to zero.

    Raises PatternMissed, with `place` in the message, when the mask removes over a percentage point more than
    requested, apart from the one extra weight per part that a method's rule may remove.
    """
    asked = share_asked(pattern)
    if abs(sparsity - asked) <= MAX_DEVIATION + 1e-9:
        return ""
    total = keep.numel()
    removed = total - count_true(keep)
    if removed > total * asked + max(MAX_DEVIATION * total, parts):
        raise PatternMissed(
            f"{place}: the mask removes {removed} of {total} weights ({removed / total:.1%}), {pattern} were asked "
            f"for; choose another method, or another sparsity"
        )
    reasons = []
    if abs(removed / total - asked) > MAX_DEVIATION:
        reasons.append(f"only whole weights can be removed, and the {' x '.join(map(str, keep.shape))} matrix has few")
    if kept_zeros := round(sparsity * total) - removed:
        reasons.append(
            f"{kept_zeros} weights are zero that the mask keeps: they were zero before, their input is always zero, or "
            f"they round to zero"
        )
    return f"{sparsity:.1%} zeros, {asked:.1%} asked for: {'; '.join(reasons)}"


def share_asked(pattern: Pattern) -> float:
    """Return the share of weights that a pattern removes."""
    return 1 - pattern.n / pattern.m if isinstance(pattern, NofM) else pattern.sparsity
