"""Step 3 of NSA: how far activations on influential words fell in a pruned model, and whether others fell as far.

    drop = 1 - A_m' / A_m            per neuron and word; undefined where A_m <= 0

Drops of several neurons are pooled, 1 - sum A_m' / sum A_m: a mean of ratios would hang on the neurons with the
smallest A_m. A drop alone proves little, so the matched neurons stand beside two controls, each a few comparators per
matched neuron, in the same layer and on the same word: neurons drawn at random, and neurons with the nearest A_m.
"""

from dataclasses import dataclass

import numpy as np
from jaxtyping import Bool, Float, Int

COMPARATORS = 20
RESAMPLES = 1000

Pairs = Float[np.ndarray, "matched 2"]  # A_m in the dense and in the pruned model, one row per matched neuron


@dataclass(frozen=True)
class Interval:
    """A pooled drop, or a difference of two, with its 95 % bootstrap interval over `neurons` matched neurons."""

    value: float | None
    low: float | None
    high: float | None
    neurons: int


@dataclass(frozen=True)
class Controls:
    """The drop of the matched neurons, of both controls, and by how much the matched ones fell further."""

    matched: Interval
    random: Interval
    like: Interval
    over_random: Interval
    over_like: Interval


@dataclass(frozen=True)
class LayerPairs:
    """One layer's share of `controls`: the matched neurons and the means of their comparators."""

    matched: Pairs
    random: Pairs
    like: Pairs


def drops(dense: Float[np.ndarray, "*axes"], pruned: Float[np.ndarray, "*axes"]) -> Float[np.ndarray, "*axes"]:
    """1 - pruned/dense; NaN where dense is not positive."""
    rest: np.ndarray = np.divide(pruned, dense, out=np.full(dense.shape, np.nan), where=dense > 0)
    return 1 - rest


def matched_words(dense: Float[np.ndarray, "neurons words"]) -> Int[np.ndarray, " neurons"]:
    """The word with the highest A_m of every neuron; -1 where none is positive."""
    best = dense.argmax(1)
    return np.where(np.take_along_axis(dense, best[:, None], 1)[:, 0] > 0, best, -1)


def layer_pairs(
    dense: Float[np.ndarray, "neurons words"],
    pruned: Float[np.ndarray, "neurons words"],
    matched: Int[np.ndarray, " matched"],
    words: Int[np.ndarray, " matched"],
    ranked: Bool[np.ndarray, " neurons"],
    rng: np.random.Generator,
) -> LayerPairs:
    """The A_m of some matched neurons of one layer on their words, and those of their comparators.

    Comparators are ranked neurons that are not matched and answer to the word at all (A_m > 0). A matched neuron
    without any is left out.
    """
    others = ranked.copy()
    others[matched] = False
    rows: list[tuple[Float[np.ndarray, " 2"], ...]] = []
    for neuron, word in zip(matched, words, strict=True):
        pool = np.flatnonzero(others & (dense[:, word] > 0))
        if not len(pool):
            continue
        count = min(COMPARATORS, len(pool))
        drawn = rng.choice(pool, count, replace=False)
        near = pool[np.argsort(np.abs(dense[pool, word] - dense[neuron, word]), kind="stable")[:count]]
        both = np.stack([dense[:, word], pruned[:, word]], axis=1)
        rows.append((both[neuron], both[drawn].mean(0), both[near].mean(0)))
    columns = [np.array(column).reshape(-1, 2) for column in zip(*rows, strict=True)] or [np.empty((0, 2))] * 3
    return LayerPairs(*columns)


def controls(layers: list[LayerPairs], seed: int) -> Controls:
    """Pooled drops of all layers' matched neurons and their comparators; intervals redraw the matched neurons together
    with their comparators."""
    kinds = [np.concatenate([getattr(layer, kind) for layer in layers]) for kind in ("matched", "random", "like")]
    samples = _resamples(len(kinds[0]), seed)
    values = [_pooled(pairs[None])[0] if len(pairs) else np.nan for pairs in kinds]
    redrawn = [_pooled(pairs[samples]) if len(pairs) else np.empty(0) for pairs in kinds]
    count = len(kinds[0])
    matched, random, like = (_interval(value, drawn, count) for value, drawn in zip(values, redrawn, strict=True))
    over_random, over_like = (
        _interval(values[0] - values[other], redrawn[0] - redrawn[other], count) for other in (1, 2)
    )
    return Controls(matched, random, like, over_random, over_like)


def pooled_drop(pairs: Pairs, seed: int) -> Interval:
    """1 - sum A_m' / sum A_m over some neurons, with its 95 % bootstrap interval; None without neurons."""
    if not len(pairs):
        return Interval(None, None, None, 0)
    return _interval(_pooled(pairs[None])[0], _pooled(pairs[_resamples(len(pairs), seed)]), len(pairs))


def _resamples(count: int, seed: int) -> Int[np.ndarray, "resamples matched"]:
    return np.random.default_rng(seed).integers(0, max(1, count), (RESAMPLES, count))


def _pooled(pairs: Float[np.ndarray, "resamples matched 2"]) -> Float[np.ndarray, " resamples"]:
    total = pairs.sum(1)
    return drops(total[:, 0], total[:, 1])


def _interval(value: float, drawn: Float[np.ndarray, " resamples"], neurons: int) -> Interval:
    drawn = drawn[np.isfinite(drawn)]
    if not np.isfinite(value) or not len(drawn):
        return Interval(None, None, None, neurons)
    low, high = np.percentile(drawn, [2.5, 97.5])
    return Interval(float(value), float(low), float(high), neurons)
