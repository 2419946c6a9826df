"""The headline of a comparison: how much further the top neurons fell than their controls, with its p-value from
placebo words.

    drop        1 - sum A_m' / sum A_m over the neurons of a group; A_m is the mean activation over the tokens of the
                influential words in the half of the texts that did not choose the neuron (nsa/selection.py)
    difference  T = drop of the top neurons minus that of their controls
    error       standard error of T over neurons: the root of sum_n (I_n - mean I_n)^2, where I_n is the influence of
                neuron n on T and mean I_n is its mean over all word sets. A neuron of a group has the influence
                w ((1 - drop) A_m - A_m') / sum A_m on the drop of the group, with the weight w that it has there
    p           share of the placebo draws whose (T - mean T) / error is at least that of the influential words
                (nsa/significance.py)

A placebo draw goes through the whole method: its words give Scores, the Scores choose neurons, and the neurons get
controls and drops on its words.

Differences are divided by their errors because random words mostly share their top neurons, and with them what damage
of any kind does to these by chance, while words that are alike have fewer neurons, of their own. Compared directly,
the influential words have a small p too often, and a large one as well: in 7 and 7 of 40 models of the demo with noise
on their weights; with the errors in 2 and 2. For words that are drawn as placebo words are, p is exact (a studentised
permutation test; Chung and Romano 2013, "Exact and asymptotically robust permutation tests", Annals of Statistics 41).
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

from prunescope.nsa import significance
from prunescope.nsa.bootstrap import drops
from prunescope.nsa.selection import Chosen
from prunescope.nsa.word_sets import HalfSums, WordSets

GROUPS = ("top", "activation_matched", "random")
OVER_ALL, IN_LAYER = 0, 1
SAME = 1e-12
"""Differences that are nearer to each other than this are equal: they differ by rounding."""


@dataclass(frozen=True)
class Measured:
    """One layer of one model. `sums`: sums of A_m over groups of neurons (scope OVER_ALL or IN_LAYER, the groups in the
    order of GROUPS); `members`: A_m of each neuron of each group, for each fold, places as in `Chosen`."""

    sums: Float[np.ndarray, "scopes groups sets"]
    members: list[list[Float[Tensor, "sets top some"]]]


@dataclass(frozen=True)
class Differences:
    """Drop of the top neurons minus the drop of activation-matched and of random controls: for the influential words
    (`observed`), and for each placebo draw (`placebo`, one row each), whose distance from the mean is scaled to the
    error of the observed difference; NaN where undefined. `p_values`: of the observed differences, None without
    draws."""

    observed: tuple[float, float]
    placebo: Float[np.ndarray, "draws 2"]
    p_values: tuple[float | None, float | None]


def measured(chosen: list[Chosen], sums: HalfSums, sets: WordSets) -> Measured:
    """Measure one layer's top neurons, and the means of their controls, pooled over the folds. `sums` are those of any
    variant."""
    found = np.zeros((2, len(GROUPS), sets.count))
    members = []
    for one, (_, measuring) in zip(chosen, sets.folds, strict=True):
        values = sums.sets[measuring].cpu() / torch.from_numpy(np.maximum(sets.sizes[measuring], 1))[:, None]
        of_groups = [_values_at(values, places) for places in _places(one)]
        means = torch.stack(
            [of_group.sum(2) * _weights(places) for of_group, places in zip(of_groups, _places(one), strict=True)]
        )
        for scope in (OVER_ALL, IN_LAYER):
            found[scope] += torch.where(_members(one, scope), means, 0).sum(2).numpy()
        members.append([of_group.float() for of_group in of_groups])
    return Measured(found, members)


def differences(
    chosen: Sequence[list[Chosen]], dense: Sequence[Measured], pruned: Sequence[Measured], scope: int
) -> Differences:
    """Return the differences of one scope over these layers, from the dense model and from a variant."""
    sums = [np.sum([layer.sums[scope] for layer in side], axis=0) for side in (dense, pruned)]
    every = drops(*sums)
    errors = np.zeros((len(GROUPS) - 1, every.shape[1]))
    for layer in zip(chosen, dense, pruned, strict=True):
        errors += _squared_errors(*layer, scope, sums[0], 1 - every)
    return compared(every[0] - every[1:], np.sqrt(errors))


def compared(apart: Float[np.ndarray, "2 sets"], errors: Float[np.ndarray, "2 sets"]) -> Differences:
    """Compare the differences of the influential words (set 0) with those of the placebo draws, by their errors. A
    difference without an error is undefined, unless it is the mean, as all are in a variant that equals the dense
    model."""
    observed = (float(apart[0, 0]), float(apart[1, 0]))
    known = np.isfinite(apart) & np.isfinite(errors)
    middle = np.where(known, apart, 0).sum(1, keepdims=True) / np.maximum(known.sum(1, keepdims=True), 1)
    distance = apart - middle
    by_error = np.divide(distance, errors, out=np.where(abs(distance) < SAME, 0, np.nan), where=errors > 0)
    scaled = np.where(known, middle + by_error * errors[:, :1], np.nan)
    return Differences(observed, scaled[:, 1:].T, (_p_value(scaled[0]), _p_value(scaled[1])))


def _p_value(apart: Float[np.ndarray, " sets"]) -> float | None:
    """Return the p-value of the first value among the others; None where it is undefined."""
    draws = apart[1:][np.isfinite(apart[1:])]
    if not np.isfinite(apart[0]) or not len(draws):
        return None
    observed = torch.from_numpy(apart[:1].copy())
    return float(significance.p_values(torch.from_numpy(draws)[:, None], observed)[0])


def _places(one: Chosen) -> tuple[Int[Tensor, "sets top some"], ...]:
    """Return the neurons of each group, in the order of GROUPS; -1 marks a place without a neuron."""
    return one.neurons[..., None], one.matched, one.random


def _values_at(values: Float[Tensor, "sets neurons"], places: Int[Tensor, "sets top some"]) -> Float[Tensor, "..."]:
    """Return the values at these neurons; 0 at a place without a neuron."""
    found = values.gather(1, places.clamp(min=0).long().flatten(1)).view(places.shape)
    return torch.where(places >= 0, found, 0)


def _weights(places: Int[Tensor, "sets top some"]) -> Float[Tensor, "sets top"]:
    """Return the weight of each neuron that stands for a top neuron: the group has their mean."""
    return 1 / (places >= 0).sum(2).clamp(min=1)


def _members(one: Chosen, scope: int) -> Bool[Tensor, "sets top"]:
    """Return which places of the top neurons belong to a scope."""
    return one.over_all if scope == OVER_ALL else one.in_layer


def _squared_errors(
    chosen: list[Chosen],
    dense: Measured,
    pruned: Measured,
    scope: int,
    totals: Float[np.ndarray, "groups sets"],
    kept: Float[np.ndarray, "groups sets"],
) -> Float[np.ndarray, "2 sets"]:
    """Return one layer's part of the squared errors of both differences. `totals` are the sums of A_m of each group in
    the dense model, and `kept` the shares of them that are left in the variant."""
    neurons = 1 + max(int(places.max()) for one in chosen for places in _places(one))
    influence = torch.zeros(len(GROUPS), totals.shape[1], max(neurons, 1))
    for one, before, after in zip(chosen, dense.members, pruned.members, strict=True):
        member = _members(one, scope)
        for group, places in enumerate(_places(one)):
            share, total = (torch.from_numpy(each[group]).float()[:, None, None] for each in (kept, totals))
            weight = torch.where(member, _weights(places), 0)[..., None]
            each = torch.where(weight > 0, (share * before[group] - after[group]) / total * weight, 0)
            each = torch.where(places >= 0, each, 0)
            influence[group].scatter_add_(1, places.clamp(min=0).long().flatten(1), each.flatten(1))
    apart = influence[0] - influence[1:]
    defined = apart.isfinite().all(2)
    middle = torch.where(defined[..., None], apart, 0).sum(1, keepdim=True) / defined.sum(1).clamp(min=1)[:, None, None]
    squares: np.ndarray = (apart - middle).square().sum(2).double().numpy()
    return squares
