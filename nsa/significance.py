"""p-values from random draws, with a generalised Pareto tail, and q-values from them.

    p = (b + 1) / (R + 1)          b of R draws are at least the observed value
    p = n / R * (1 - G(x - t))     where b < MIN_REACHED; G is a generalised Pareto distribution of the n largest draws

The second form resolves p-values below 1 / (R + 1) (Knijnenburg, Wessels, Reinders and Shmulevich 2009, "Fewer
permutations, more accurate P-values", Bioinformatics 25). As there, n is a quarter of the draws, at most 250, and the
threshold t is halfway between the n-th and the next largest draw. Two departures: the distribution is fitted by the
method of moments, which has a closed form and so is possible for all neurons at once; and its shape is at least 0 (an
exponential tail), because a negative shape has an end point beyond which p would be exactly 0. For tails that are
lighter than exponential, such as the normal one, p is therefore too large rather than too small. The tail gives no p
below MIN_P: how a distribution that is fitted to some tens of draws goes on beyond that is not known.
benchmarks/tail.py measures the rates of false positives.
"""

from dataclasses import dataclass

import numpy as np
import torch
from jaxtyping import Bool, Float
from torch import Tensor

MIN_REACHED = 10
"""With fewer draws than this that reach the observed value, the tail's distribution is used."""
MAX_TAIL = 250
"""Maximum number of draws to which the tail's distribution is fitted."""
MIN_P = 1e-6
"""Minimum p-value of the fitted tail."""
MIN_TAIL = 5
"""With fewer draws in the tail than this, no distribution is fitted."""


@dataclass(frozen=True)
class Tail:
    """Generalised Pareto distributions of the excesses of each item's largest draws over a threshold. `share`: the
    share of the draws that are fitted; `fitted`: false where their excesses do not vary."""

    share: float
    threshold: Float[Tensor, " items"]
    shape: Float[Tensor, " items"]
    scale: Float[Tensor, " items"]
    fitted: Bool[Tensor, " items"]

    def p_values(self, observed: Float[Tensor, " items"]) -> Float[Tensor, " items"]:
        """Return the probabilities of values at least as large; NaN where no distribution is fitted, and below the
        threshold."""
        beyond = (observed - self.threshold) / self.scale
        exponential = torch.exp(-beyond)
        pareto = (1 + self.shape * beyond).clamp(min=1e-300).pow(-1 / self.shape.clamp(min=1e-12))
        survival = torch.where(self.shape > 1e-9, pareto, exponential)
        return torch.where(self.fitted & (beyond >= 0), (self.share * survival).clamp(min=MIN_P), torch.nan)


def p_values(draws: Float[Tensor, "draws items"], observed: Float[Tensor, " items"]) -> Float[np.ndarray, " items"]:
    """Return one-sided p-values of the observed values, in double precision. A tail whose draws are all equal is not
    fitted; p is then (b + 1) / (R + 1)."""
    count = len(draws)
    reached = (draws >= observed).sum(0).double()
    p = (reached + 1) / (count + 1)
    rare = torch.nonzero(reached < MIN_REACHED).flatten()
    if len(rare) and (tail := fit_tail(draws[:, rare])) is not None:
        p[rare] = torch.fmin(p[rare], tail.p_values(observed[rare].double()))
    found: np.ndarray = p.cpu().numpy()
    return found


def fit_tail(draws: Float[Tensor, "draws items"]) -> Tail | None:
    """Fit the tail of each item's draws by the method of moments. None with fewer than MIN_TAIL draws in the tail."""
    tail = min(MAX_TAIL, len(draws) // 4)
    if tail < MIN_TAIL:
        return None
    largest = draws.double().topk(tail + 1, dim=0).values
    threshold = (largest[-2] + largest[-1]) / 2
    excess = largest[:-1] - threshold
    mean, variance = excess.mean(0), excess.var(0)
    ratio = torch.where(variance > 0, mean.square() / variance, 1.0)
    shape = (0.5 * (1 - ratio)).clamp(min=0)
    scale = torch.where(shape > 0, 0.5 * mean * (ratio + 1), mean)
    return Tail(tail / len(draws), threshold, shape, scale, (variance > 0) & (mean > 0))


def q_values(p: Float[np.ndarray, "..."]) -> Float[np.ndarray, "..."]:
    """Return Benjamini-Hochberg q-values over all finite p-values; NaN stays NaN."""
    known = np.isfinite(p)
    values = p[known].astype(np.float64)
    order = np.argsort(values)
    scaled = values[order] * len(values) / np.arange(1, len(values) + 1)
    result = np.full(p.shape, np.nan)
    least = np.empty(len(values))
    least[order] = np.minimum.accumulate(scaled[::-1])[::-1].clip(max=1)
    result[known] = least
    return result
