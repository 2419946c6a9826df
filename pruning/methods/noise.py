"""Noise, a placebo: adds Gaussian noise to all weights, as large as the change of another method; removes nothing.

With D the change of the weights by the method `like` at the requested pattern, X the linear's calibration inputs and G
independent standard normal numbers,

    W'_ij = W_ij + s_i G_ij / ||x_j||        s_i such that || (W' - W)_i X || = || D_i X ||

holds exactly for every row i, so that every output has the relative output error that it has under `like`, and so has
the whole matrix. The norms are computed from X X^T (`pruning.hessian`), over all calibration tokens. Noise of
the same size in all columns would be spent nearly completely on the few inputs with massive activations; the division
by ||x_j|| gives every input the same share of the error, as in Wanda, whose removed weights have |W_ij| ||x_j|| below
one threshold for each row. Norms below a tenth of their median count as a tenth of it, so that a rarely active input
gets no huge noise; an input that is always zero gets none.

What noise does to a model as well is an effect of damage of this size, not of removing weights.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import torch
from jaxtyping import Float
from torch import Tensor

from prunescope.lm.errors import BadInput
from prunescope.pruning.generators import generator_of
from prunescope.pruning.hessian import Hessian
from prunescope.pruning.methods.magnitude import Magnitude
from prunescope.pruning.methods.protocol import Calibrated, Decision
from prunescope.pruning.methods.ria import RIA
from prunescope.pruning.methods.sparsegpt import SparseGPT
from prunescope.pruning.methods.wanda import Wanda
from prunescope.pruning.patterns import Pattern, Unstructured
from prunescope.pruning.statistics import InputNorms

Like = Literal["magnitude", "wanda", "sparsegpt", "ria"]
LIKE: tuple[Like, ...] = ("magnitude", "wanda", "sparsegpt", "ria")

SMALLEST = 0.1
"""Smaller norms of inputs count as this share of their median."""


@dataclass(frozen=True)
class Noise(Calibrated[Hessian]):
    """Adds noise of the output error that the method `like`, with its default options, has at the same pattern.
    `seed`: of the noise."""

    like: Like = "wanda"
    seed: int = 0

    def __post_init__(self) -> None:
        if self.like not in LIKE:
            raise BadInput(f"like {self.like!r} is unknown; known: {', '.join(LIKE)}")

    def statistics(self, columns: int, device: torch.device) -> Hessian:
        return Hessian(columns, device)

    def decide(
        self, weights: Sequence[Float[Tensor, "_ columns"]], statistics: Hessian, pattern: Pattern
    ) -> list[Decision]:
        products = statistics.matrix()
        norms = products.diagonal().sqrt()
        return [
            Decision(
                torch.ones_like(weight, dtype=torch.bool),
                weight + self._noise(weight, decision, products, norms),
                holds=Unstructured(0),
            )
            for weight, decision in zip(weights, self._decisions(weights, statistics, pattern), strict=True)
        ]

    def _decisions(
        self, weights: Sequence[Float[Tensor, "_ columns"]], statistics: Hessian, pattern: Pattern
    ) -> list[Decision]:
        """Return the decisions of the method `like`."""
        match self.like:
            case "magnitude":
                return [Magnitude().decide(weight, pattern) for weight in weights]
            case "sparsegpt":
                return SparseGPT().decide(weights, statistics, pattern)
            case "wanda":
                return Wanda().decide(weights, _input_norms(statistics), pattern)
            case "ria":
                return RIA().decide(weights, _input_norms(statistics), pattern)

    def _noise(
        self,
        weight: Float[Tensor, "rows columns"],
        decision: Decision,
        products: Float[Tensor, "columns columns"],
        norms: Float[Tensor, " columns"],
    ) -> Float[Tensor, "rows columns"]:
        """Return noise whose output error equals that of the decision in every row."""
        change = (weight if decision.updated is None else decision.updated) * decision.keep - weight
        drawn = torch.randn(weight.shape, generator=generator_of(self.seed, weight)).to(weight.device)
        least = float(norms.median()) * SMALLEST
        drawn *= torch.where(norms > 0, 1 / norms.clamp_min(least), 0)
        wanted, found = (_squared_errors(some, products) for some in (change, drawn))
        return drawn * torch.where(found > 0, wanted / found, 0).sqrt().unsqueeze(1)


def _squared_errors(
    change: Float[Tensor, "rows columns"], products: Float[Tensor, "columns columns"]
) -> Float[Tensor, " rows"]:
    """Return each row's squared output error, up to a constant factor. `products` is X X^T, up to a factor."""
    return ((change @ products) * change).sum(dim=1).clamp_min(0)


def _input_norms(statistics: Hessian) -> InputNorms:
    """Return the norms of the inputs, which are in the diagonal of H = (2/n) sum x x^T."""
    diagonal = statistics.matrix().diagonal()
    found = InputNorms(len(diagonal), diagonal.device)
    found.mean_squares, found.sequences = diagonal / 2, statistics.sequences
    return found
