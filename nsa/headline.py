"""The headline of a comparison: how much further the top neurons fell than their controls, with its p-value from
placebo words.

    drop        1 - sum A_m' / sum A_m over the neurons of a group; A_m is the mean activation over the tokens of the
                influential words in the half of the texts that did not choose the neuron (nsa/selection.py)
    difference  drop of the top neurons minus that of their controls
    p           share of the placebo draws with at least this difference (nsa/significance.py)

A placebo draw goes through the whole method: its words give Scores, the Scores choose neurons, and the neurons get
controls and drops on its words.
"""

from dataclasses import dataclass

import numpy as np
import torch
from jaxtyping import Float, Int
from torch import Tensor

from prunescope.nsa import significance
from prunescope.nsa.bootstrap import drops
from prunescope.nsa.selection import Chosen
from prunescope.nsa.word_sets import HalfSums, WordSets

GROUPS = ("top", "activation_matched", "random")
OVER_ALL, IN_LAYER = 0, 1

Totals = Float[np.ndarray, "scopes groups sets"]
"""Sums of mean activations: scope OVER_ALL or IN_LAYER, the groups in the order of GROUPS, and every word set."""


@dataclass(frozen=True)
class Differences:
    """Drop of the top neurons minus the drop of activation-matched and of random controls: for the influential words
    (`observed`), and for each placebo draw (`placebo`, one row each); NaN where undefined. `p_values`: of the observed
    differences, None without draws."""

    observed: tuple[float, float]
    placebo: Float[np.ndarray, "draws 2"]
    p_values: tuple[float | None, float | None]


def totals(chosen: list[Chosen], sums: HalfSums, sets: WordSets) -> Totals:
    """Return one layer's sums over its top neurons, and over the means of their controls, pooled over the folds.
    `sums` are those of any variant."""
    found = np.zeros((2, len(GROUPS), sets.count))
    for one, (_, measuring) in zip(chosen, sets.folds, strict=True):
        values = sums.sets[measuring].cpu() / torch.from_numpy(np.maximum(sets.sizes[measuring], 1))[:, None]
        groups = torch.stack([_mean(values, places) for places in (one.neurons[..., None], one.matched, one.random)])
        for scope, flags in ((OVER_ALL, one.over_all), (IN_LAYER, one.in_layer)):
            found[scope] += torch.where(flags, groups, 0).sum(2).numpy()
    return found


def differences(dense: Float[np.ndarray, "groups sets"], pruned: Float[np.ndarray, "groups sets"]) -> Differences:
    """Return the differences of one scope, from the sums of the dense model and of a variant."""
    every = drops(dense, pruned)
    apart = every[0] - every[1:]
    placebo = apart[:, 1:].T
    observed = (float(apart[0, 0]), float(apart[1, 0]))
    return Differences(observed, placebo, (_p_value(apart[0]), _p_value(apart[1])))


def _p_value(apart: Float[np.ndarray, " sets"]) -> float | None:
    """Return the p-value of the first value among the others; None where it is undefined."""
    draws = apart[1:][np.isfinite(apart[1:])]
    if not np.isfinite(apart[0]) or not len(draws):
        return None
    observed = torch.from_numpy(apart[:1].copy())
    return float(significance.p_values(torch.from_numpy(draws)[:, None], observed)[0])


def _mean(values: Float[Tensor, "sets neurons"], places: Int[Tensor, "sets top some"]) -> Float[Tensor, "sets top"]:
    """Return the means of the values at these neurons; -1 marks a place without a neuron."""
    known = places >= 0
    found = values.gather(1, places.clamp(min=0).long().flatten(1)).view(places.shape)
    return torch.where(known, found, 0).sum(2) / known.sum(2).clamp(min=1)
