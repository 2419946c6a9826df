"""Sparsity patterns: unstructured and n:m."""

import math
import re
from dataclasses import dataclass

from prunescope.lm.errors import BadPattern


@dataclass(frozen=True)
class Unstructured:
    """Pattern that removes a share `sparsity` of the weights, at any position; 0 <= sparsity < 1, where 0 changes
    nothing."""

    sparsity: float

    def __post_init__(self) -> None:
        if not (math.isfinite(self.sparsity) and 0 <= self.sparsity < 1):
            raise BadPattern(
                f"sparsity {self.sparsity} is outside of [0, 1): give the share of weights to remove, such as 0.5"
            )

    def __str__(self) -> str:
        return f"{self.sparsity:g}"


@dataclass(frozen=True)
class NofM:
    """Pattern that KEEPS `n` of every `m` consecutive weights in a row; 0 < n < m."""

    n: int
    m: int

    def __post_init__(self) -> None:
        if not 0 < self.n < self.m:
            raise BadPattern(
                f"pattern {self.n}:{self.m} is impossible: n of every m weights are kept, 0 < n < m, such as 2:4"
            )

    def __str__(self) -> str:
        return f"{self.n}:{self.m}"

    def check_fits(self, columns: int, place: str) -> None:
        """Raise BadPattern, with `place` in the message, when m does not divide the number of columns."""
        if columns % self.m:
            raise BadPattern(
                f"{place}: {columns} columns cannot be cut into groups of {self.m}; "
                f"take an m that divides {columns}, or an unstructured sparsity"
            )


Pattern = Unstructured | NofM


def parse_pattern(text: str) -> Pattern:
    """Parse "2:4" (2 of every 4 weights are kept) or "0.5" (half of the weights are removed). Raises BadPattern for
    other text."""
    if match := re.fullmatch(r"\s*(\d+)\s*:\s*(\d+)\s*", text):
        return NofM(int(match[1]), int(match[2]))
    try:
        sparsity = float(text)
    except ValueError:
        raise BadPattern(f"pattern {text!r} is not understood: a sparsity such as 0.5, or n:m such as 2:4") from None
    return Unstructured(sparsity)
