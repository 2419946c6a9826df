"""Step 3 of NSA: did the neurons that answer to influential words fall further in a pruned model than others did?

A drop alone proves little, so the matched neurons stand beside two controls, each a few comparators per matched neuron,
in the same layer and on the same word: neurons drawn at random, and neurons with the nearest A_m. Matched are the top
neurons by Score over all layers, and beside them those of every layer.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

from prunescope.nsa import bootstrap
from prunescope.nsa.bootstrap import ByText, Group, Interval
from prunescope.nsa.examples import Positions

COMPARATORS = 20

Rows = Callable[[Int[np.ndarray, " some"], Int[np.ndarray, " few"]], Float[np.ndarray, "some few"]]


@dataclass(frozen=True)
class Controls:
    """The drop of the matched neurons, of both controls, and by how much the matched ones fell further."""

    matched: Interval
    random: Interval
    like: Interval
    over_random: Interval
    over_like: Interval


@dataclass(frozen=True)
class Comparators:
    """One layer's matched neurons, each with its word and those it is compared with."""

    neurons: Int[np.ndarray, " matched"]
    words: Int[np.ndarray, " matched"]
    over_all: Bool[np.ndarray, " matched"]  # among the top of all layers
    in_layer: Bool[np.ndarray, " matched"]  # among the top of this one
    random: list[Int[np.ndarray, " comparators"]]
    like: list[Int[np.ndarray, " comparators"]]


@dataclass(frozen=True)
class Sums:
    """Per matched neuron and text: the sum of A over the word's tokens, and its mean over each kind of comparator."""

    matched: ByText
    random: ByText
    like: ByText


def matched_words(dense: Float[np.ndarray, "neurons words"]) -> Int[np.ndarray, " neurons"]:
    """The word with the highest A_m of every neuron; -1 where none is positive."""
    best = dense.argmax(1)
    return np.where(np.take_along_axis(dense, best[:, None], 1)[:, 0] > 0, best, -1)


def choose(
    dense: Float[np.ndarray, "neurons words"],
    words: Int[np.ndarray, " neurons"],
    over_all: Int[np.ndarray, " some"],
    in_layer: Int[np.ndarray, " some"],
    ranked: Bool[np.ndarray, " neurons"],
    rng: np.random.Generator,
) -> Comparators:
    """The comparators of one layer's matched neurons; `dense` is A_m, `words` each neuron's word.

    Comparators are ranked neurons that are not matched and answer to the word at all (A_m > 0). A matched neuron
    without any is left out.
    """
    others = ranked.copy()
    others[over_all] = others[in_layer] = False
    kept, random, like = [], [], []
    for neuron in np.union1d(over_all, in_layer).astype(int):
        word = words[neuron]
        pool = np.flatnonzero(others & (dense[:, word] > 0))
        if word < 0 or not len(pool):
            continue
        count = min(COMPARATORS, len(pool))
        kept.append(neuron)
        random.append(rng.choice(pool, count, replace=False))
        like.append(pool[np.argsort(np.abs(dense[pool, word] - dense[neuron, word]), kind="stable")[:count]])
    neurons = np.array(kept, dtype=int)
    return Comparators(neurons, words[neurons], np.isin(neurons, over_all), np.isin(neurons, in_layer), random, like)


def group_sums(chosen: Comparators, rows: Rows, change: Callable[[Tensor], Tensor], positions: Positions) -> Sums:
    """What one variant's activations say of a layer's matched neurons; `rows` reads activations of
    some neurons at some tokens."""
    places = list(positions.words.values())
    found: list[list[np.ndarray]] = [[], [], []]
    for neuron, word, random, like in zip(chosen.neurons, chosen.words, chosen.random, chosen.like, strict=True):
        every = np.concatenate([[neuron], random, like])
        values = change(torch.from_numpy(rows(every, places[word])).double()).numpy()
        by_text = _by_text(values, positions.text[places[word]], positions.texts)
        found[0].append(by_text[0])
        found[1].append(by_text[1 : 1 + len(random)].mean(0))
        found[2].append(by_text[1 + len(random) :].mean(0))
    return Sums(*(np.array(kind).reshape(-1, positions.texts) for kind in found))


def own_word_sums(
    values: Float[Tensor, "neurons tokens"], positions: Positions, words: Int[np.ndarray, " neurons"]
) -> Float[np.ndarray, "neurons texts"]:
    """The sum of transformed activations over the tokens of each neuron's own word, in every text; 0 without a word."""
    spelling = np.zeros((len(positions.words) + 1, len(positions.text)), dtype=bool)  # the last row is of no word
    for row, places in zip(spelling, positions.words.values(), strict=False):
        row[places] = True
    own = torch.from_numpy(spelling).to(values.device)[torch.from_numpy(words).to(values.device)]
    kept = torch.where(own, values, 0)
    by_text = [kept[:, span].sum(1, dtype=torch.float64) for span in positions.spans]
    found: np.ndarray = torch.stack(by_text, dim=1).cpu().numpy()
    return found


def controls(
    layers: Sequence[tuple[Comparators, Sums, Sums]],
    word_counts: Int[np.ndarray, "words texts"],
    weights: Float[np.ndarray, "resamples texts"],
    *,
    in_layer: bool = False,
) -> Controls:
    """Pooled drops of the matched neurons and their comparators, with (comparators, dense, pruned) of every layer.

    `in_layer` takes the top neurons of each layer instead of those over all.
    """
    chosen = [comparators.in_layer if in_layer else comparators.over_all for comparators, _, _ in layers]
    counts = np.concatenate(
        [word_counts[comparators.words[flags]] for (comparators, _, _), flags in zip(layers, chosen, strict=True)]
    )

    def pooled(kind: str) -> bootstrap.Pooled:
        dense, pruned = (
            np.concatenate([getattr(layer[side], kind)[flags] for layer, flags in zip(layers, chosen, strict=True)])
            for side in (1, 2)
        )
        return bootstrap.pooled_drop(Group(dense, pruned, counts), weights)

    matched, random, like = (pooled(kind) for kind in ("matched", "random", "like"))
    return Controls(matched.interval(), random.interval(), like.interval(), matched.over(random), matched.over(like))


def _by_text(
    values: Float[np.ndarray, "some matches"], text: Int[np.ndarray, " matches"], texts: int
) -> Float[np.ndarray, "some texts"]:
    found: np.ndarray = values @ (text[:, None] == np.arange(texts)).astype(np.float64)
    return found
