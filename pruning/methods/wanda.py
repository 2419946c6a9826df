"""Wanda (Sun et al., arXiv 2306.11695): score_ij = |W_ij| * ||x_j||_2, compared within each row.

||x_j|| is the square root of norm2_j (`pruning.statistics`), which equals the norm over all tokens up to a constant
factor. Kept weights are not changed.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from jaxtyping import Float
from torch import Tensor

from prunescope.pruning.masks import keep_by_row
from prunescope.pruning.methods.protocol import Calibrated, Decision
from prunescope.pruning.patterns import Pattern
from prunescope.pruning.statistics import InputNorms


@dataclass(frozen=True)
class Wanda(Calibrated[InputNorms]):
    """Removes weights with a small product of magnitude and input norm; has no options."""

    def statistics(self, columns: int, device: torch.device) -> InputNorms:
        return InputNorms(columns, device)

    def decide(
        self, weights: Sequence[Float[Tensor, "_ columns"]], statistics: InputNorms, pattern: Pattern
    ) -> list[Decision]:
        norms = statistics.norms()
        return [Decision(keep_by_row(wanda_scores(weight, norms), pattern)) for weight in weights]


def wanda_scores(
    weight: Float[Tensor, "rows columns"], norms: Float[Tensor, " columns"]
) -> Float[Tensor, "rows columns"]:
    """Return |W| with each column multiplied by the norm of its input."""
    return weight.abs() * norms
