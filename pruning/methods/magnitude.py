"""Magnitude pruning (Han et al., arXiv 1506.02626): score_ij = |W_ij|, compared within the whole matrix."""

from dataclasses import dataclass

from jaxtyping import Float
from torch import Tensor

from prunescope.pruning.masks import keep_by_matrix
from prunescope.pruning.methods.protocol import Decision, WeightsOnly
from prunescope.pruning.patterns import Pattern


@dataclass(frozen=True)
class Magnitude(WeightsOnly):
    """Removes the smallest weights; has no options and needs no calibration."""

    def decide(self, weight: Float[Tensor, "rows columns"], pattern: Pattern) -> Decision:
        return Decision(keep_by_matrix(weight.abs(), pattern))
