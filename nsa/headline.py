"""The headline of a comparison: how much further the top neurons fell than their controls, with its p-value from
placebo words.

    drop        1 - sum A_m' / sum A_m over the neurons of a group; A_m is the mean activation over the tokens of the
                influential words in the half of the texts that did not choose the neuron (nsa/selection.py)
    difference  T = drop of the top neurons minus that of their controls
    error       standard error of T over neurons: the root of sum_n (I_n - mean I_n)^2, with the influence
                I_n = -(A_m,n' - (1 - drop) A_m,n) / sum A_m of a top neuron n on T (0 of other neurons); the means are
                over all word sets
    p           share of the placebo draws whose (T - mean T) / error is at least that of the influential words
                (nsa/significance.py)

A placebo draw goes through the whole method: its words give Scores, the Scores choose neurons, and the neurons get
controls and drops on its words.

Differences are divided by their errors because random words mostly share their top neurons, and with them what damage
of any kind does to these by chance, while words that are alike have fewer neurons, of their own. Compared directly,
the influential words have a small p too often, and a large one as well: in 7 and 7 of 40 models of the demo with noise
on their weights; with the errors in 1 and 2. For words that are drawn as placebo words are, p is exact (a studentised
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


@dataclass(frozen=True)
class Measured:
    """One layer of one model: the mean activations A_m of the top neurons of every word set (`tops`, for each fold,
    places as in `Chosen.neurons`), and the sums of A_m over groups of neurons (`sums`: scope OVER_ALL or IN_LAYER, the
    groups in the order of GROUPS)."""

    sums: Float[np.ndarray, "scopes groups sets"]
    tops: list[Float[Tensor, "sets top"]]


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
    tops = []
    for one, (_, measuring) in zip(chosen, sets.folds, strict=True):
        values = sums.sets[measuring].cpu() / torch.from_numpy(np.maximum(sets.sizes[measuring], 1))[:, None]
        groups = torch.stack([_mean(values, places) for places in (one.neurons[..., None], one.matched, one.random)])
        for scope in (OVER_ALL, IN_LAYER):
            found[scope] += torch.where(_members(one, scope), groups, 0).sum(2).numpy()
        tops.append(groups[0])
    return Measured(found, tops)


def differences(
    chosen: Sequence[list[Chosen]], dense: Sequence[Measured], pruned: Sequence[Measured], scope: int
) -> Differences:
    """Return the differences of one scope over these layers, from the dense model and from a variant."""
    sums = [np.sum([layer.sums[scope] for layer in side], axis=0) for side in (dense, pruned)]
    every = drops(*sums)
    squares = sum(
        _squared_errors(*layer, scope, sums[0][0], 1 - every[0]) for layer in zip(chosen, dense, pruned, strict=True)
    )
    return compared(every[0] - every[1:], np.sqrt(squares))


def compared(apart: Float[np.ndarray, "2 sets"], errors: Float[np.ndarray, " sets"]) -> Differences:
    """Compare the differences of the influential words (set 0) with those of the placebo draws, by their errors. A draw
    without a positive error is undefined, and so is the p-value if the influential words have none."""
    observed = (float(apart[0, 0]), float(apart[1, 0]))
    errors = np.where(errors > 0, errors, np.nan)
    known = np.isfinite(apart) & np.isfinite(errors)
    middle = np.where(known, apart, 0).sum(1, keepdims=True) / np.maximum(known.sum(1, keepdims=True), 1)
    scaled = middle + (apart - middle) / errors * errors[0]
    return Differences(observed, scaled[:, 1:].T, (_p_value(scaled[0]), _p_value(scaled[1])))


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


def _members(one: Chosen, scope: int) -> Bool[Tensor, "sets top"]:
    """Return which places of the top neurons belong to a scope."""
    return one.over_all if scope == OVER_ALL else one.in_layer


def _squared_errors(
    chosen: list[Chosen],
    dense: Measured,
    pruned: Measured,
    scope: int,
    total: Float[np.ndarray, " sets"],
    kept: Float[np.ndarray, " sets"],
) -> Float[np.ndarray, " sets"]:
    """Return one layer's part of the squared errors. `total` are the sums of A_m of all top neurons in the dense model,
    and `kept` the shares of them that are left in the variant."""
    neurons = 1 + max(int(one.neurons.max()) for one in chosen)
    influence = torch.zeros(len(total), neurons, dtype=torch.float64)
    for one, before, after in zip(chosen, dense.tops, pruned.tops, strict=True):
        each = (torch.from_numpy(kept)[:, None] * before - after) / torch.from_numpy(total)[:, None]
        influence.scatter_add_(1, one.neurons.clamp(min=0).long(), torch.where(_members(one, scope), each, 0))
    defined = influence.isfinite().all(1)
    middle = influence[defined].mean(0) if defined.any() else 0
    squares: np.ndarray = (influence - middle).square().sum(1).numpy()
    return squares
