"""Step 3 of NSA: compares the drop of the top neurons in a pruned model with the drop of control neurons.

A drop alone proves little. So the treatment group, the top neurons by Score, has two control groups. For each top
neuron, each of them has up to 20 neurons of the same layer, measured on the same word: drawn at random, or matched by
activation (those with the nearest A_m, the mean activation over the word's tokens). This comparison is made for the top
neurons over all layers and for those of each layer.
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

CONTROLS_PER_NEURON = 20

Rows = Callable[[Int[np.ndarray, " some"], Int[np.ndarray, " few"]], Float[np.ndarray, "some few"]]


@dataclass(frozen=True)
class Controls:
    """The stored document of a comparison. `matched`, `random` and `like` are the pooled drops of the top neurons, of
    the random controls and of the controls matched by activation. `over_random` and `over_like` are the differences
    `matched` - `random` and `matched` - `like`."""

    matched: Interval
    random: Interval
    like: Interval
    over_random: Interval
    over_like: Interval


@dataclass(frozen=True)
class ControlGroups:
    """One layer's top neurons, each with its own word and its control neurons."""

    neurons: Int[np.ndarray, " top"]
    words: Int[np.ndarray, " top"]
    over_all: Bool[np.ndarray, " top"]  # among the top neurons over all layers
    in_layer: Bool[np.ndarray, " top"]  # among the top neurons of this layer
    random: list[Int[np.ndarray, " controls"]]
    matched: list[Int[np.ndarray, " controls"]]


@dataclass(frozen=True)
class Sums:
    """For each top neuron and text, the sum of A over the tokens of the neuron's own word: for the neuron itself, and
    as the mean over the neurons of each of its control groups."""

    top: ByText
    random: ByText
    matched: ByText


def own_words(dense: Float[np.ndarray, "neurons words"]) -> Int[np.ndarray, " neurons"]:
    """Return each neuron's own word: the index of the word with its highest A_m, -1 if no A_m is positive."""
    best = dense.argmax(1)
    return np.where(np.take_along_axis(dense, best[:, None], 1)[:, 0] > 0, best, -1)


def choose(
    dense: Float[np.ndarray, "neurons words"],
    words: Int[np.ndarray, " neurons"],
    over_all: Int[np.ndarray, " some"],
    in_layer: Int[np.ndarray, " some"],
    ranked: Bool[np.ndarray, " neurons"],
    rng: np.random.Generator,
) -> ControlGroups:
    """Choose the controls of one layer's top neurons (`over_all`: top neurons over all layers; `in_layer`: top neurons
    of this layer). `dense` is A_m, `words` each neuron's own word.

    Controls are ranked neurons that are not top neurons and have A_m > 0 on the top neuron's word. Top neurons without
    any control are skipped.
    """
    others = ranked.copy()
    others[over_all] = others[in_layer] = False
    kept, random, matched = [], [], []
    for neuron in np.union1d(over_all, in_layer).astype(int):
        word = words[neuron]
        pool = np.flatnonzero(others & (dense[:, word] > 0))
        if word < 0 or not len(pool):
            continue
        count = min(CONTROLS_PER_NEURON, len(pool))
        kept.append(neuron)
        random.append(rng.choice(pool, count, replace=False))
        matched.append(pool[np.argsort(np.abs(dense[pool, word] - dense[neuron, word]), kind="stable")[:count]])
    neurons = np.array(kept, dtype=int)
    return ControlGroups(
        neurons, words[neurons], np.isin(neurons, over_all), np.isin(neurons, in_layer), random, matched
    )


def group_sums(chosen: ControlGroups, rows: Rows, change: Callable[[Tensor], Tensor], positions: Positions) -> Sums:
    """Sum one variant's activations over the own word's tokens, for a layer's top neurons and their controls.
    `rows(neurons, tokens)` returns activations, to which `change` is applied (`scoring.transform`)."""
    places = list(positions.words.values())
    found: list[list[np.ndarray]] = [[], [], []]
    for neuron, word, random, matched in zip(chosen.neurons, chosen.words, chosen.random, chosen.matched, strict=True):
        every = np.concatenate([[neuron], random, matched])
        values = change(torch.from_numpy(rows(every, places[word])).double()).numpy()
        by_text = _by_text(values, positions.text[places[word]], positions.texts)
        found[0].append(by_text[0])
        found[1].append(by_text[1 : 1 + len(random)].mean(0))
        found[2].append(by_text[1 + len(random) :].mean(0))
    return Sums(*(np.array(kind).reshape(-1, positions.texts) for kind in found))


def own_word_sums(
    values: Float[Tensor, "neurons tokens"], positions: Positions, words: Int[np.ndarray, " neurons"]
) -> Float[np.ndarray, "neurons texts"]:
    """Return the sum of transformed activations over the tokens of each neuron's own word, for every text; 0 for a
    neuron without an own word (-1 in `words`)."""
    # The last row is for neurons without a word.
    spelling = np.zeros((len(positions.words) + 1, len(positions.text)), dtype=bool)
    for row, places in zip(spelling, positions.words.values(), strict=False):
        row[places] = True
    own = torch.from_numpy(spelling).to(values.device)[torch.from_numpy(words).to(values.device)]
    kept = torch.where(own, values, 0)
    by_text = [kept[:, span].sum(1, dtype=torch.float64) for span in positions.spans]
    found: np.ndarray = torch.stack(by_text, dim=1).cpu().numpy()
    return found


def controls(
    layers: Sequence[tuple[ControlGroups, Sums, Sums]],
    word_counts: Int[np.ndarray, "words texts"],
    weights: Float[np.ndarray, "resamples texts"],
    *,
    in_layer: bool = False,
) -> Controls:
    """Return the pooled drops of the top neurons and their controls. `layers` has (control groups, dense sums, pruned
    sums) of every layer.

    `in_layer`: use the top neurons of each layer instead of the top neurons over all layers.
    """
    chosen = [groups.in_layer if in_layer else groups.over_all for groups, _, _ in layers]
    counts = np.concatenate(
        [word_counts[groups.words[flags]] for (groups, _, _), flags in zip(layers, chosen, strict=True)]
    )

    def pooled(kind: str) -> bootstrap.Pooled:
        dense, pruned = (
            np.concatenate([getattr(layer[side], kind)[flags] for layer, flags in zip(layers, chosen, strict=True)])
            for side in (1, 2)
        )
        return bootstrap.pooled_drop(Group(dense, pruned, counts), weights)

    top, random, matched = (pooled(kind) for kind in ("top", "random", "matched"))
    return Controls(top.interval(), random.interval(), matched.interval(), top.over(random), top.over(matched))


def _by_text(
    values: Float[np.ndarray, "some matches"], text: Int[np.ndarray, " matches"], texts: int
) -> Float[np.ndarray, "some texts"]:
    """Return the sums of the values over the tokens of each text; `text` is each token's text."""
    found: np.ndarray = values @ (text[:, None] == np.arange(texts)).astype(np.float64)
    return found
