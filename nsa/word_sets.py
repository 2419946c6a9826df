"""Sums of activations over sets of tokens, for the influential words and every placebo draw at once, by halves of the
texts.

Set 0 are the tokens of the influential words (S in Eq. 1), the others are those of the placebo draws. For
cross-fitting, the texts are divided into two halves: neurons are chosen on one half and measured on the other. With
fewer than two texts that have influential words there is one half, in which neurons are chosen and measured.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from jaxtyping import Float, Int
from torch import Tensor
from torch.nn import functional

from prunescope.nsa.examples import Positions
from prunescope.nsa.scoring import transform


@dataclass(frozen=True)
class WordSets:
    """The sets' tokens. `half`: the half of each text; `tokens`: positions of the tokens, by half, then by set;
    `starts`: the start of each (half, set) in `tokens`; `sizes`: the number of tokens of each (half, set)."""

    half: Int[np.ndarray, " texts"]
    tokens: Int[np.ndarray, " members"]
    starts: Int[np.ndarray, " bags"]
    sizes: Int[np.ndarray, "halves sets"]

    @property
    def folds(self) -> list[tuple[int, int]]:
        """The pairs (half in which neurons are chosen, half in which they are measured)."""
        return [(0, 1), (1, 0)] if len(self.sizes) == 2 else [(0, 0)]

    @property
    def count(self) -> int:
        """The number of sets."""
        return int(self.sizes.shape[1])


@dataclass(frozen=True)
class HalfSums:
    """Sums of a block of neurons: `sets` over the tokens of every set, `all` over all counted tokens."""

    sets: Float[Tensor, "halves sets neurons"]
    all: Float[Tensor, "halves neurons"]

    @staticmethod
    def joined(blocks: Sequence["HalfSums"]) -> "HalfSums":
        """Return the sums of consecutive blocks of neurons, concatenated."""
        return HalfSums(
            torch.cat([block.sets for block in blocks], dim=2), torch.cat([block.all for block in blocks], dim=1)
        )


def by_token(values: Float[Tensor, "neurons tokens"], activation: str) -> Float[Tensor, "tokens neurons"]:
    """Return transformed activations of a block of neurons in double precision (`scoring.transform`)."""
    return transform(activation)(values).T.double().contiguous()


def halves_of(positions: Positions, labels: Sequence[str | None], seed: int) -> Int[np.ndarray, " texts"]:
    """Divide the texts at random into halves 0 and 1, stratified by whether a text has influential words and by label:
    each stratum is divided evenly. All texts are in half 0 if fewer than two have influential words."""
    having = np.bincount(positions.text[positions.influential], minlength=positions.texts) > 0
    half = np.zeros(positions.texts, dtype=np.int64)
    if having.sum() < 2:
        return half
    order = np.random.default_rng(seed).permutation(positions.texts)
    strata = sorted(order, key=lambda text: (not having[text], str(labels[text])))  # stable: random within a stratum
    half[strata] = np.arange(positions.texts) % 2
    return half


def word_sets(
    positions: Positions, placebos: Sequence[Int[np.ndarray, " tokens"]], half: Int[np.ndarray, " texts"]
) -> WordSets:
    """Return the influential words and the placebo draws (`placebo.draws`) as sets of tokens."""
    count = int(half.max(initial=0)) + 1
    every = [np.flatnonzero(positions.influential), *placebos]
    bags = [tokens[half[positions.text[tokens]] == side] for side in range(count) for tokens in every]
    lengths = np.array([len(bag) for bag in bags])
    return WordSets(
        half,
        np.concatenate(bags).astype(np.int64),
        np.cumsum([0, *lengths[:-1]]),
        lengths.reshape(count, len(every)),
    )


def half_sums(values: Float[Tensor, "tokens neurons"], sets: WordSets, positions: Positions) -> HalfSums:
    """Return the sums of transformed activations (`by_token`), in double precision. One sparse product gives those of
    all sets."""
    device, (count, number) = values.device, sets.sizes.shape
    summed = functional.embedding_bag(
        torch.from_numpy(sets.tokens).to(device), values, torch.from_numpy(sets.starts).to(device), mode="sum"
    )
    counted = [np.flatnonzero(positions.counted & (sets.half[positions.text] == side)) for side in range(count)]
    every = [values[torch.from_numpy(places).to(device)].sum(0) for places in counted]
    return HalfSums(summed.view(count, number, -1), torch.stack(every))
