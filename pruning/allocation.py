"""Allocation of sparsity over the decoder layers.

`Uniform` gives every layer the requested pattern. `OWL` (Yin et al., arXiv 2310.05175) gives layers with more outliers
a lower sparsity. A layer's outlier ratio is the share of its Wanda scores |W_ij| * ||x_j|| above `outlier` times their
mean, over all of the layer's matrices in the dense model. The layers' densities (1 - sparsity) are these ratios, scaled
so that the greatest and the smallest density differ by 2 * `range`, and shifted so that the mean density is the
requested one.

The authors' code does the same. In it, as here, the sparsity of a layer with an extreme ratio can differ from the
target by more than `range`, although the paper's text excludes this. There are two departures from the authors' code.
Layers are weighted by their number of weights, so that the whole model has the requested sparsity. When a layer's
sparsity would be below 0 or near 1, the distances of all layers from the target are multiplied by the same factor,
which preserves the mean.
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields

import torch
from jaxtyping import Float
from torch import Tensor

from prunescope.lm.errors import BadInput, BadPattern
from prunescope.pruning.patterns import NofM, Pattern, Unstructured

MIN_DENSITY = 0.1
"""Lower bound on a layer's density, as a fraction of the requested density."""


@dataclass(frozen=True)
class Uniform:
    """Gives every layer the requested pattern; has no options."""


@dataclass(frozen=True)
class OWL:
    """Gives layers with more outlier scores a lower sparsity. `outlier`: a score above this multiple of the layer's
    mean score is an outlier. `range`: half the difference in sparsity between the most and the least pruned layer."""

    outlier: float = 5.0
    range: float = 0.08

    def __post_init__(self) -> None:
        if not (math.isfinite(self.outlier) and self.outlier > 0):
            raise BadInput(f"outlier {self.outlier} is not above 0: give a multiple of the mean score, such as 5")
        if not 0 <= self.range <= 0.5:
            raise BadInput(f"range {self.range} is outside of [0, 0.5]: give a share of the weights, such as 0.08")


Allocation = Uniform | OWL
UNIFORM = Uniform()
ALLOCATIONS: dict[str, type[Uniform] | type[OWL]] = {"uniform": Uniform, "owl": OWL}


def build_allocation(name: str, options: Mapping[str, float]) -> Allocation:
    """Return the allocation `name` with these options. Raises BadInput for an unknown name or option; the message lists
    the known ones."""
    if name not in ALLOCATIONS:
        raise BadInput(f"allocation {name!r} is unknown; known: {', '.join(ALLOCATIONS)}")
    kind = ALLOCATIONS[name]
    known = [field.name for field in fields(kind)]
    for option in options:
        if option not in known:
            raise BadInput(f"{name} has no option {option!r}; it has {', '.join(known) or 'none'}")
    return kind(**options)


def check_allocation(allocation: Allocation, pattern: Pattern) -> None:
    """Raise BadPattern if the allocation is OWL and the pattern is n:m, which has the same sparsity in every layer."""
    if isinstance(allocation, OWL) and isinstance(pattern, NofM):
        raise BadPattern(
            f"owl gives each layer a sparsity of its own, but {pattern} is the same share everywhere: "
            f"take an unstructured sparsity, or the uniform allocation"
        )


def outlier_ratio(
    weights: Sequence[Float[Tensor, "_ _"]], norms: Sequence[Float[Tensor, " _"]], outlier: float
) -> float:
    """Return the share of one layer's Wanda scores that are above `outlier` times their mean.

    `weights` are the layer's matrices [rows, columns]; `norms` are the norms of each matrix's inputs [columns], as
    returned by `pruning.statistics.InputNorms.norms`.
    """
    count = sum(weight.numel() for weight in weights)
    pairs = list(zip(weights, norms, strict=True))
    total = sum(float((weight.float().abs().sum(dim=0) * norm).sum(dtype=torch.float64)) for weight, norm in pairs)
    threshold = outlier * total / count
    return sum(int((weight.float().abs() * norm > threshold).sum()) for weight, norm in pairs) / count


def layer_patterns(
    allocation: Allocation, pattern: Pattern, ratios: Sequence[float], sizes: Sequence[int]
) -> list[Pattern]:
    """Return the pattern of each layer. `ratios`: each layer's `outlier_ratio`, which `Uniform` does not use (it may
    then be empty). `sizes`: the number of weights in each layer. Raises BadPattern for OWL with an n:m pattern."""
    check_allocation(allocation, pattern)
    if isinstance(allocation, Uniform) or isinstance(pattern, NofM):
        return [pattern] * len(sizes)
    return [Unstructured(each) for each in layer_sparsities(ratios, sizes, pattern.sparsity, allocation.range)]


def layer_sparsities(ratios: Sequence[float], sizes: Sequence[int], target: float, range: float) -> list[float]:
    """Return OWL's sparsity for each layer: the higher the outlier ratio, the lower the sparsity. The mean over the
    layers, weighted by `sizes`, is `target`.

    >>> [round(each, 2) for each in layer_sparsities([0.02, 0.01, 0.03], [5, 5, 5], target=0.5, range=0.08)]
    [0.5, 0.58, 0.42]
    """
    spread = max(ratios) - min(ratios)
    if spread == 0:
        return [target] * len(ratios)
    mean = math.fsum(ratio * size for ratio, size in zip(ratios, sizes, strict=True)) / sum(sizes)
    shifts = [2 * range * (mean - ratio) / spread for ratio in ratios]
    highest = 1 - MIN_DENSITY * (1 - target)
    margins = [highest - target if shift > 0 else target for shift in shifts]
    factor = min(
        [1.0, *(margin / abs(shift) for margin, shift in zip(margins, shifts, strict=True) if abs(shift) > margin)]
    )
    return [min(max(target + factor * shift, 0.0), highest) for shift in shifts]
