"""Step 2 of NSA, second half: the Score (Eq. 1 of arXiv 2503.01542) of every neuron of a layer, with its significance.

    Score = sum_{S} A / sum_{all} A          A = max(0, a) (`relu`), |a| (`abs`) or a (`raw`)
    lift  = Score / (|S| / N)

S are the tokens of influential words, and N is the number of tokens in the denominator. Activations of gated MLPs are
signed, so a denominator can be near zero or negative. A neuron whose denominator is not positive or is below the floor
(the 5 % quantile of the absolute denominators of its layer) is not ranked.

Null hypothesis: within each text t, the s_t influential tokens are a random draw, without replacement, from its n_t
tokens (without special tokens and sinks). The numerator then has the mean sum_t s_t m_t and the variance
sum_t s_t (1 - s_t/n_t) v_t, from which z is computed; m_t and v_t (divisor n_t - 1) are the mean and variance of A over
the n_t tokens. p is computed from K redraws (nsa/significance.py). The denominator is the same in every redraw.

This null hypothesis treats all tokens of a text as exchangeable, which they are not. It is used only without placebo
words (nsa/placebo.py), whose sums otherwise replace the redraws, the mean and the variance.

Activations in half precision are summed in double precision, in which such sums are exact up to 2^29. So sums do not
depend on the order of addition.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass

import numpy as np
import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor
from torch.nn import functional

from prunescope.lm.errors import BadInput
from prunescope.nsa import significance
from prunescope.nsa.examples import Positions

FLOOR = 0.05  # default quantile

ACTIVATIONS: dict[str, Callable[[Tensor], Tensor]] = {
    "relu": lambda values: values.clamp(min=0),
    "abs": lambda values: values.abs(),
    "raw": lambda values: values,
}


@dataclass(frozen=True)
class Sums:
    """Sums of each neuron from one pass over a block of neurons; a layer's blocks are concatenated (`joined`) before
    `scores`."""

    numerator: Float[np.ndarray, " neurons"]
    denominator: Float[np.ndarray, " neurons"]
    null_mean: Float[np.ndarray, " neurons"]
    null_variance: Float[np.ndarray, " neurons"]
    p_value: Float[np.ndarray, " neurons"]  # by redraws; NaN without them
    words: Float[np.ndarray, "neurons words"]  # A_m: mean activation over each word's tokens

    @staticmethod
    def joined(blocks: list["Sums"]) -> "Sums":
        """Return the sums of a layer's blocks of neurons, concatenated in order."""
        return Sums(*(np.concatenate(parts) for parts in zip(*(vars(block).values() for block in blocks), strict=True)))


@dataclass(frozen=True)
class Scores:
    """One layer's Scores and significance; NaN for a neuron that is not ranked, and in `p_value` without draws.
    `floor` is the floor's value."""

    score: Float[np.ndarray, " neurons"]
    lift: Float[np.ndarray, " neurons"]
    z: Float[np.ndarray, " neurons"]
    p_value: Float[np.ndarray, " neurons"]
    ranked: Bool[np.ndarray, " neurons"]
    floor: float


def transform(name: str) -> Callable[[Tensor], Tensor]:
    """Return the function that `raw`, `relu` or `abs` applies to activations. Raises BadInput for any other name."""
    if name not in ACTIVATIONS:
        raise BadInput(f"activation {name!r} is unknown: choose one of {', '.join(ACTIVATIONS)}")
    return ACTIVATIONS[name]


def redraws(positions: Positions, count: int, seed: int) -> Int[Tensor, "draws chosen"]:
    """Return `count` random draws under the null hypothesis. Each is a set of positions that replaces the influential
    tokens, with as many positions in every text as the text has influential tokens."""
    generator = torch.Generator().manual_seed(seed)
    drawn = [torch.empty(count, 0, dtype=torch.int32)]
    for places, chosen in _by_text(positions):
        if chosen and count:
            keys = torch.rand(count, len(places), generator=generator)
            drawn.append(torch.from_numpy(places.astype(np.int32))[keys.topk(chosen, dim=1).indices])
    return torch.cat(drawn, dim=1)


def sums(
    activations: Float[Tensor, "neurons tokens"],
    positions: Positions,
    activation: str = "relu",
    draws: Int[Tensor, "draws chosen"] | None = None,
) -> Sums:
    """Return the sums of a block of neurons. `activations` are signed, in half or single precision, on any device;
    `activation` names their transform (`raw`, `relu` or `abs`). `draws` are from `redraws`; without them
    `p_value` is NaN."""
    by_token = transform(activation)(activations).T.double().contiguous()
    neurons = by_token.shape[1]
    mean, variance = by_token.new_zeros(neurons), by_token.new_zeros(neurons)
    for places, chosen in _by_text(positions):
        share = chosen / len(places)
        if chosen:
            text = _rows(by_token, places)
            mean += share * text.sum(0)
            if share < 1:
                variance += chosen * (1 - share) * text.var(0)
    observed = _rows(by_token, np.flatnonzero(positions.influential)).sum(0)
    p_value = np.full(neurons, np.nan)
    if draws is not None and draws.numel():
        # One sparse product for all neurons. A row of the draws' matrix has |S| ones; the matrix is never materialised.
        drawn = functional.embedding_bag(draws.to(by_token.device), by_token, mode="sum")
        p_value = significance.p_values(drawn, observed)
    return Sums(
        numerator=observed.cpu().numpy(),
        denominator=_rows(by_token, np.flatnonzero(positions.counted)).sum(0).cpu().numpy(),
        null_mean=mean.cpu().numpy(),
        null_variance=variance.cpu().numpy(),
        p_value=p_value,
        words=_word_means(by_token, positions),
    )


def word_means(
    activations: Float[Tensor, "neurons tokens"], positions: Positions, activation: str = "relu"
) -> Float[np.ndarray, "neurons words"]:
    """Return A_m of a block of neurons for every word of `positions`, in order: the mean activation over all tokens
    that spell the word."""
    return _word_means(transform(activation)(activations).T, positions)


def _word_means(by_token: Float[Tensor, "tokens neurons"], positions: Positions) -> Float[np.ndarray, "neurons words"]:
    means = [_rows(by_token, places).double().mean(0) for places in positions.words.values()]
    found: np.ndarray = torch.stack(means, dim=1).cpu().numpy()
    return found


def _rows(by_token: Float[Tensor, "tokens neurons"], places: Int[np.ndarray, " some"]) -> Float[Tensor, "some neurons"]:
    """Return the rows of some tokens; as a view if they are consecutive."""
    if len(places) and places[-1] - places[0] + 1 == len(places):
        return by_token[int(places[0]) : int(places[-1]) + 1]
    return by_token[torch.from_numpy(places).to(by_token.device)]


def scores(
    layer: Sums, positions: Positions, p_value: Float[np.ndarray, " neurons"] | None = None, *, floor: float = FLOOR
) -> Scores:
    """Return Score, lift and z of every neuron of one layer, computed from its sums, with the p-values of all neurons
    where the neuron is ranked (`ranked_neurons`). z is 0 when the variance under the null hypothesis is 0."""
    ranked, least = ranked_neurons(layer.denominator, floor)
    unknown = np.full(len(ranked), np.nan)
    score = np.divide(layer.numerator, layer.denominator, out=unknown.copy(), where=ranked)
    share = int(positions.influential.sum()) / max(1, int(positions.counted.sum()))
    spread = np.sqrt(layer.null_variance)
    z = np.divide(layer.numerator - layer.null_mean, spread, out=np.zeros(len(ranked)), where=spread > 0)
    return Scores(
        score=score,
        lift=score / share,
        z=np.where(ranked, z, np.nan),
        p_value=unknown if p_value is None else np.where(ranked, p_value, np.nan),
        ranked=ranked,
        floor=least,
    )


def ranked_neurons(
    denominator: Float[np.ndarray, " neurons"], floor: float
) -> tuple[Bool[np.ndarray, " neurons"], float]:
    """Return which neurons of a layer are ranked, and the floor's value: a neuron is ranked when its denominator is
    positive and not below the `floor` quantile of the layer's absolute denominators."""
    least = float(np.quantile(np.abs(denominator), floor))
    return (denominator >= least) & (denominator > 0), least


def _by_text(positions: Positions) -> Iterator[tuple[Int[np.ndarray, " drawable"], int]]:
    """Yield, for every text, the positions from which the null hypothesis draws, and the number of influential tokens
    among them."""
    for span in positions.spans:
        places = span.start + np.flatnonzero(positions.drawable[span])
        if len(places):
            yield places, int(positions.influential[places].sum())
