"""Random pruning, a placebo: score_ij is a uniform random number, compared within each row, as Wanda's scores are.

It removes as many weights of each row (of each group of m) as Wanda, without regard to weights or activations. What
random pruning does to a model as well is not a property of the weights that another method removes.
"""

from dataclasses import dataclass

import torch
from jaxtyping import Float
from torch import Tensor

from prunescope.pruning.generators import generator_of
from prunescope.pruning.masks import keep_by_row
from prunescope.pruning.methods.protocol import Decision, WeightsOnly
from prunescope.pruning.patterns import Pattern


@dataclass(frozen=True)
class RandomMask(WeightsOnly):
    """Removes randomly drawn weights. `seed`: of the draw."""

    seed: int = 0

    def decide(self, weight: Float[Tensor, "rows columns"], pattern: Pattern) -> Decision:
        scores = torch.rand(weight.shape, generator=generator_of(self.seed, weight))
        return Decision(keep_by_row(scores, pattern).to(weight.device))
