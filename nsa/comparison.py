"""Step 3 of NSA: compares the drop of the top neurons in a pruned model with the drop of control neurons.

A drop alone proves little. So the treatment group, the top neurons by Score, has two control groups in the same layers
(nsa/selection.py). All of them are measured on the tokens of the influential words in the half of the texts that did
not choose the top neurons. The p-values come from placebo words (nsa/headline.py), the bootstrap intervals over texts
are a description. This comparison is made for the top neurons over all layers and for those of each layer.
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
from prunescope.nsa.selection import Chosen
from prunescope.nsa.word_sets import WordSets

Rows = Callable[[Int[np.ndarray, " some"], Int[np.ndarray, " few"]], Float[np.ndarray, "some few"]]


@dataclass(frozen=True)
class Controls:
    """The stored document of a comparison: the pooled drops of the top neurons, of the controls matched by activation
    and of the random controls, the differences `top` - `activation_matched` and `top` - `random`, and the differences'
    p-values from placebo words, None without them."""

    top: Interval
    activation_matched: Interval
    random: Interval
    over_activation_matched: Interval
    over_random: Interval
    p_activation_matched: float | None
    p_random: float | None


@dataclass(frozen=True)
class ControlGroups:
    """One layer's top neurons for the influential words, over both folds, each with its control neurons. `measured`:
    the half of the texts on which each is measured."""

    neurons: Int[np.ndarray, " top"]
    measured: Int[np.ndarray, " top"]
    over_all: Bool[np.ndarray, " top"]  # among the top neurons over all layers
    in_layer: Bool[np.ndarray, " top"]  # among the top neurons of this layer
    random: list[Int[np.ndarray, " controls"]]
    matched: list[Int[np.ndarray, " controls"]]


@dataclass(frozen=True)
class Sums:
    """For each top neuron and text, the sum of A over the tokens of influential words in the measured half: for the
    neuron itself, and as the mean over the neurons of each of its control groups."""

    top: ByText
    random: ByText
    matched: ByText


def own_words(dense: Float[np.ndarray, "neurons words"]) -> Int[np.ndarray, " neurons"]:
    """Return each neuron's own word: the index of the word with its highest A_m, -1 if no A_m is positive."""
    best = dense.argmax(1)
    return np.where(np.take_along_axis(dense, best[:, None], 1)[:, 0] > 0, best, -1)


def observed(chosen: Sequence[Chosen], sets: WordSets) -> ControlGroups:
    """Return one layer's top neurons and controls for the influential words, from those of all word sets by fold."""
    parts: list[list[np.ndarray]] = [[], [], [], []]
    random: list[np.ndarray] = []
    matched: list[np.ndarray] = []
    for one, (_, measuring) in zip(chosen, sets.folds, strict=True):
        neurons = one.neurons[0].numpy().astype(np.int64)
        known = neurons >= 0
        flags = (one.over_all[0].numpy()[known], one.in_layer[0].numpy()[known])
        for part, values in zip(parts, (neurons[known], np.full(known.sum(), measuring), *flags), strict=True):
            part.append(values)
        for found, places in ((random, one.random), (matched, one.matched)):
            found += [row[row >= 0].astype(np.int64) for row in places[0].numpy()[known]]
    neurons, measured, over_all, in_layer = (np.concatenate(part) for part in parts)
    return ControlGroups(neurons, measured, over_all, in_layer, random, matched)


def group_sums(
    chosen: ControlGroups, rows: Rows, change: Callable[[Tensor], Tensor], positions: Positions, sets: WordSets
) -> Sums:
    """Sum one variant's activations over the tokens of influential words by text, for a layer's top neurons and their
    controls. `rows(neurons, tokens)` returns activations, to which `change` is applied (`scoring.transform`)."""
    found = [np.zeros((len(chosen.neurons), positions.texts)) for _ in range(3)]
    for measuring in np.unique(chosen.measured):
        tokens = np.flatnonzero(positions.influential & (sets.half[positions.text] == measuring))
        members = np.flatnonzero(chosen.measured == measuring)
        every = [chosen.neurons[members], *(group[i] for i in members for group in (chosen.random, chosen.matched))]
        neurons, back = np.unique(np.concatenate(every), return_inverse=True)
        values = change(torch.from_numpy(rows(neurons, tokens)).double()).numpy()
        by_text = _by_text(values, positions.text[tokens], positions.texts)
        groups = np.split(by_text[back], np.cumsum([len(group) for group in every])[:-1])
        found[0][members] = groups[0]
        found[1][members] = [group.mean(0) for group in groups[1::2]]
        found[2][members] = [group.mean(0) for group in groups[2::2]]
    return Sums(*found)


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
    positions: Positions,
    sets: WordSets,
    weights: Float[np.ndarray, "resamples texts"],
    p_values: tuple[float | None, float | None],
    *,
    in_layer: bool = False,
) -> Controls:
    """Return the pooled drops of the top neurons and their controls. `layers` has (control groups, dense sums, pruned
    sums) of every layer; `p_values` are those of `headline.differences`.

    `in_layer`: use the top neurons of each layer instead of the top neurons over all layers.
    """
    chosen = [groups.in_layer if in_layer else groups.over_all for groups, _, _ in layers]
    tokens = np.bincount(positions.text[positions.influential], minlength=positions.texts)
    measured = np.concatenate([groups.measured[flags] for (groups, _, _), flags in zip(layers, chosen, strict=True)])
    counts = np.where(sets.half == measured[:, None], tokens, 0)

    def pooled(kind: str) -> bootstrap.Pooled:
        dense, pruned = (
            np.concatenate([getattr(layer[side], kind)[flags] for layer, flags in zip(layers, chosen, strict=True)])
            for side in (1, 2)
        )
        return bootstrap.pooled_drop(Group(dense, pruned, counts), weights)

    top, random, matched = (pooled(kind) for kind in ("top", "random", "matched"))
    return Controls(
        top.interval(), matched.interval(), random.interval(), top.over(matched), top.over(random), *p_values
    )


def _by_text(
    values: Float[np.ndarray, "some matches"], text: Int[np.ndarray, " matches"], texts: int
) -> Float[np.ndarray, "some texts"]:
    """Return the sums of the values over the tokens of each text; `text` is each token's text."""
    found: np.ndarray = values @ (text[:, None] == np.arange(texts)).astype(np.float64)
    return found
