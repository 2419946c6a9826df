"""Pooled drops of groups of neurons, with bootstrap intervals over the texts.

    drop = 1 - A_m' / A_m            per neuron and word, A_m the mean activation over the word's tokens;
                                     undefined where A_m <= 0

Drops of several neurons are pooled, 1 - sum A_m' / sum A_m, because a mean of ratios would be dominated by the neurons
with the smallest A_m. The texts are the sample and are resampled. A resample weights every text by how often it was
drawn, and A_m is the mean over the word's tokens with these weights. A neuron whose word is in none of the drawn texts
is excluded from that resample.
"""

from dataclasses import dataclass

import numpy as np
from jaxtyping import Float, Int

RESAMPLES = 1000

ByText = Float[np.ndarray, "members texts"]


@dataclass(frozen=True)
class Interval:
    """A pooled drop of `neurons` neurons, or a difference of two drops, with its 95 % bootstrap interval over texts.

    `texts` is the number of texts that contain any of the neurons' words. With fewer than two texts there is no
    interval, and `low` and `high` are None.
    """

    value: float | None
    low: float | None
    high: float | None
    neurons: int
    texts: int


@dataclass(frozen=True)
class Group:
    """Activations of some neurons, each on one word. `dense` and `pruned` are sums over the word's tokens in each text;
    `counts` is the number of these tokens."""

    dense: ByText
    pruned: ByText
    counts: Int[np.ndarray, "members texts"]


@dataclass(frozen=True)
class Pooled:
    """A pooled drop over all texts (`value`) and in every resample (`drawn`); NaN where undefined."""

    value: float
    drawn: Float[np.ndarray, " resamples"]
    neurons: int
    texts: int

    def interval(self) -> Interval:
        """Return the drop with its 95 % percentile interval."""
        return _interval(self.value, self.drawn, self.neurons, self.texts)

    def over(self, other: "Pooled") -> Interval:
        """Return the difference of this drop and another, with an interval from the same resamples."""
        return _interval(self.value - other.value, self.drawn - other.drawn, self.neurons, min(self.texts, other.texts))


def resampling_weights(texts: int, seed: int) -> Float[np.ndarray, "resamples texts"]:
    """Return how often each text is drawn in each resample. Row 0 is all ones, for the original sample; each further
    row is a bootstrap resample."""
    drawn = np.random.default_rng(seed).multinomial(texts, np.full(texts, 1 / texts), size=RESAMPLES)
    return np.concatenate([np.ones((1, texts)), drawn])


def drops(dense: Float[np.ndarray, "*axes"], pruned: Float[np.ndarray, "*axes"]) -> Float[np.ndarray, "*axes"]:
    """Return 1 - pruned/dense elementwise; NaN where `dense` is not positive."""
    rest: np.ndarray = np.divide(pruned, dense, out=np.full(dense.shape, np.nan), where=dense > 0)
    return 1 - rest


def pooled_drop(group: Group, weights: Float[np.ndarray, "resamples texts"]) -> Pooled:
    """Return the pooled drop of a group; `weights` are from `resampling_weights`."""
    tokens = weights @ group.counts.T
    dense, pruned = (_means(weights @ sums.T, tokens).sum(1) for sums in (group.dense, group.pruned))
    every = drops(dense, pruned)
    return Pooled(float(every[0]), every[1:], len(group.counts), int((group.counts.sum(0) > 0).sum()))


def drop_bounds(group: Group, weights: Float[np.ndarray, "resamples texts"]) -> Float[np.ndarray, "members 2"]:
    """Return the 95 % bootstrap interval (lower, upper) of the drop of each member of the group on its word. NaN for a
    member whose word is in fewer than two texts or whose dense activations on the word do not have a positive sum.
    `weights` are from `resampling_weights`."""
    tokens = weights[1:] @ group.counts.T
    every = drops(*(_means(weights[1:] @ sums.T, tokens) for sums in (group.dense, group.pruned)))
    bounds = np.full((len(group.counts), 2), np.nan)
    known = (np.isfinite(every).any(0)) & ((group.counts > 0).sum(1) >= 2) & (group.dense.sum(1) > 0)
    bounds[known] = _percentiles(every[:, known]).T
    return bounds


def _percentiles(every: Float[np.ndarray, "resamples members"]) -> Float[np.ndarray, "2 members"]:
    """Return the 2.5 % and 97.5 % percentiles of each column's finite values. Vectorised, unlike
    numpy.nanpercentile."""
    every = np.sort(every, axis=0)  # NaN comes last
    last = np.isfinite(every).sum(0) - 1
    places = np.outer([0.025, 0.975], last)
    below = places.astype(int)
    low, high = (np.take_along_axis(every, at, 0) for at in (below, np.minimum(below + 1, last)))
    points: np.ndarray = low + (places - below) * (high - low)
    return points


def _means(sums: np.ndarray, tokens: np.ndarray) -> np.ndarray:
    """Return sums / tokens elementwise; 0 where there are no tokens."""
    means: np.ndarray = np.divide(sums, tokens, out=np.zeros(sums.shape), where=tokens > 0)
    return means


def _interval(value: float, drawn: Float[np.ndarray, " resamples"], neurons: int, texts: int) -> Interval:
    drawn = drawn[np.isfinite(drawn)]
    if not np.isfinite(value):
        return Interval(None, None, None, neurons, texts)
    if texts < 2 or not len(drawn):
        return Interval(value, None, None, neurons, texts)
    low, high = np.percentile(drawn, [2.5, 97.5])
    return Interval(value, float(low), float(high), neurons, texts)
