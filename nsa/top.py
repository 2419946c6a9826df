"""Finds the top neurons of a word or of a single token: Eq. 1 with that word's or token's positions as S.

The score is the share of a neuron's total activation at these positions, so that neurons that are active everywhere are
not the top neurons of every word. Only ranked neurons and only shares above zero are considered.
"""

from dataclasses import dataclass
from typing import Self

import numpy as np
import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

from prunescope.nsa.examples import Positions

OF_A_WORD = 50
OF_A_TOKEN = 10


@dataclass(frozen=True)
class Top:
    """The best neurons of every item (word or token), best first, padded with -1 (`neurons`) and NaN (`scores`)."""

    neurons: Int[np.ndarray, "items top"]
    scores: Float[np.ndarray, "items top"]

    @classmethod
    def none(cls, items: int, top: int) -> Self:
        """Return an empty result, all -1 and NaN."""
        return cls(np.full((items, top), -1, dtype=np.int32), np.full((items, top), np.nan, dtype=np.float32))

    def merged(self, other: "Top", shift: int = 0) -> "Top":
        """Return the best neurons of both results. `shift` is added to the neuron numbers of `other`. Of tied scores,
        those of `self` come first."""
        moved = np.where(other.neurons < 0, -1, other.neurons + shift)
        neurons, scores = (
            np.concatenate(pair, axis=1) for pair in ((self.neurons, moved), (self.scores, other.scores))
        )
        order = np.argsort(-scores, axis=1, kind="stable")[:, : self.scores.shape[1]]  # NaN comes last
        return Top(
            np.take_along_axis(neurons, order, 1).astype(np.int32),
            np.take_along_axis(scores, order, 1).astype(np.float32),
        )


def of_words(
    means: Float[np.ndarray, "neurons words"],
    positions: Positions,
    denominator: Float[np.ndarray, " neurons"],
    ranked: Bool[np.ndarray, " neurons"],
) -> Top:
    """Return the top neurons of every word, from one layer's A_m (`means`)."""
    sums = means * positions.word_counts().sum(1)
    shares = np.divide(sums, denominator[:, None], out=np.full(sums.shape, np.nan), where=ranked[:, None] & (sums > 0))
    order = np.argsort(-shares, axis=0, kind="stable")[:OF_A_WORD].T
    found = Top(order.astype(np.int32), np.take_along_axis(shares.T, order, 1).astype(np.float32))
    return Top.none(len(order), OF_A_WORD).merged(_padded(found))


def of_tokens(
    values: Float[Tensor, "neurons tokens"],
    positions: Positions,
    denominator: Float[np.ndarray, " neurons"],
    ranked: Bool[np.ndarray, " neurons"],
) -> Top:
    """Return the top neurons of every token, from a block of transformed activations; none for a token that is not in
    the denominator of Eq. 1."""
    kept = np.flatnonzero(ranked)
    if not len(kept):
        return Top.none(values.shape[1], OF_A_TOKEN)
    places = torch.from_numpy(kept).to(values.device)
    shares = values[places].float() / torch.from_numpy(denominator[kept]).to(values.device).float()[:, None]
    best = shares.topk(min(OF_A_TOKEN, len(kept)), dim=0)
    scores = best.values.T.cpu().numpy()
    scores[~positions.counted] = np.nan
    found = Top(kept[best.indices.T.cpu().numpy()].astype(np.int32), np.where(scores > 0, scores, np.nan))
    return Top.none(values.shape[1], OF_A_TOKEN).merged(_padded(found))


def _padded(top: Top) -> Top:
    """Return the result with neuron -1 where the score is NaN."""
    return Top(np.where(np.isnan(top.scores), -1, top.neurons).astype(np.int32), top.scores)
