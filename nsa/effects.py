"""Effects of interventions on the top neurons, compared with interventions on random neurons, on the same task rows.

    change of the top neurons      mean over rows of (with intervention - unchanged)
    change of random neurons       the same, averaged over draws
    excess                         the first minus the second

Intervals are 95 % percentile bootstraps. Every resample draws the rows, the same for all conditions, and the sets of
random neurons. Of the D sets, D - 1 are drawn with replacement, so that their mean has the variance of a mean of D (Rao
and Wu, Resampling inference with complex survey data, Journal of the American Statistical Association 83, 1988).
Drawing D of D would give intervals that are too narrow, noticeably so with few draws. A distribution-free p-value is (b
+ 1) / (D + 1), where b is the number of draws with an effect at least as large as the top neurons' (Phipson and Smyth,
Statistical Applications in Genetics and Molecular Biology 9, 2010). It cannot be smaller than 1 / (D + 1).
"""

from dataclasses import dataclass

import numpy as np
from jaxtyping import Float

RESAMPLES = 1000
AT_ONCE = 50  # number of resamples whose row counts are in memory at once


@dataclass(frozen=True)
class Estimate:
    """A mean over rows, or a difference of two means, with its interval; no interval (None) when all rows have the same
    value."""

    value: float
    low: float | None
    high: float | None


@dataclass(frozen=True)
class Effect:
    """One measure of a model: unchanged (`base`), with an intervention on the top neurons, with an intervention on
    random neurons, and the differences.

    `draws` are the means of the single draws; `p_value` is one-sided, in the expected direction.
    """

    base: Estimate
    top: Estimate
    random: Estimate
    top_change: Estimate
    random_change: Estimate
    excess: Estimate
    draws: list[float]
    p_value: float


def effect(outcomes: Float[np.ndarray, "conditions rows"], *, seed: int, lower: bool) -> Effect:
    """Return the effect on one measure. The conditions are: unchanged, top neurons, then the draws (at least two).

    `lower`: whether the expected effect is a decrease (ablation) instead of an increase (restoration).
    """
    values = np.asarray(outcomes, dtype=np.float64)
    base, top, draws = values[0], values[1], values[2:]
    rng = np.random.default_rng([seed, len(draws)])
    rows, count = len(base), len(draws)
    resampled = []
    for _ in range(0, RESAMPLES, AT_ONCE):
        by_row = rng.multinomial(rows, np.full(rows, 1 / rows), size=AT_ONCE) / rows
        by_draw = rng.multinomial(count - 1, np.full(count, 1 / count), size=AT_ONCE) / (count - 1)
        every = by_row @ values.T
        resampled.append(np.stack([every[:, 0], every[:, 1], (every[:, 2:] * by_draw).sum(1)]))
    drawn = dict(zip(("base", "top", "random"), np.concatenate(resampled, axis=1), strict=True))
    of_draws = draws.mean(1)
    means = {"base": float(base.mean()), "top": float(top.mean()), "random": float(of_draws.mean())}

    def level(name: str, each: np.ndarray) -> Estimate:
        return _estimate(means[name], drawn[name], each)

    def difference(name: str, other: str, each: np.ndarray) -> Estimate:
        return _estimate(means[name] - means[other], drawn[name] - drawn[other], each)

    as_far = of_draws <= means["top"] if lower else of_draws >= means["top"]
    return Effect(
        base=level("base", base),
        top=level("top", top),
        random=level("random", draws),
        top_change=difference("top", "base", top - base),
        random_change=difference("random", "base", draws - base),
        excess=difference("top", "random", top - draws),
        draws=of_draws.tolist(),
        p_value=float((as_far.sum() + 1) / (count + 1)),
    )


def _estimate(value: float, drawn: Float[np.ndarray, " resamples"], each: Float[np.ndarray, "*axes"]) -> Estimate:
    if np.ptp(each) == 0:
        return Estimate(value, None, None)
    low, high = np.percentile(drawn, [2.5, 97.5])
    return Estimate(value, float(low), float(high))
