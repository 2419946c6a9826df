"""Step 3 of NSA for one pruned variant, over all layers: each neuron's drop, each word's drop, and the comparison with
controls."""

from dataclasses import asdict, dataclass
from functools import partial
from typing import Any

import numpy as np
import torch

from prunescope.nsa import bootstrap, comparison, headline, scoring, selection, statistics
from prunescope.nsa.archive import Archive, pieces
from prunescope.nsa.bootstrap import Group
from prunescope.nsa.comparison import ControlGroups, Sums
from prunescope.nsa.headline import Differences, Measured
from prunescope.nsa.matching import keep_by_text
from prunescope.nsa.preparation import Options, Prepared, Report
from prunescope.nsa.selection import Chosen, Tops
from prunescope.nsa.word_sets import HalfSums, WordSets, by_token, half_sums

PER_WORD = 20  # the pooled drop of this many best-ranked neurons is a word's drop
WORD_COLUMNS = ("neurons", "activation", "drop", "low", "high")
AT_ONCE = 512  # number of neurons whose resamples are in memory at once


@dataclass(frozen=True)
class LayerBase:
    """One layer of a baseline: the top neurons and controls of every word set (`chosen`) with their activations in the
    dense model (`dense`), and those of the influential words (`groups`) with their dense sums by text (`sums`)."""

    chosen: list[Chosen]
    dense: Measured
    groups: ControlGroups
    sums: Sums


@dataclass(frozen=True)
class Baseline:
    """The data that all pruned variants are compared with: each layer's top and control neurons with their dense sums,
    for all word sets (`sets`), and the resampling weights. `dense` is the name of the dense variant."""

    dense: str
    sets: WordSets
    layers: dict[int, LayerBase]
    weights: np.ndarray
    counts: np.ndarray  # [words, texts] tokens that spell the word


def baseline(
    archive: Archive, dense: str, prepared: Prepared, options: Options, tops: Tops, device: torch.device
) -> Baseline:
    """Choose the controls of the top neurons over all layers and of each layer, and sum their dense activations."""
    positions, sets, over_all = prepared.positions, tops.sets, tops.over_all()
    change = scoring.transform(options.activation)
    layers = {}
    for layer in prepared.layers:
        sums = HalfSums.joined(
            [
                half_sums(by_token(values, options.activation), sets, positions)
                for _, values in pieces(archive, dense, layer, device)
            ]
        )
        rng = np.random.default_rng([options.seed, layer])
        chosen = selection.controls(tops, layer, over_all[layer], sums, rng)
        groups = comparison.observed(chosen, sets)
        rows = partial(archive.rows, dense, layer)
        by_text = comparison.group_sums(groups, rows, change, positions, sets)
        layers[layer] = LayerBase(chosen, headline.measured(chosen, sums, sets), groups, by_text)
    weights = bootstrap.resampling_weights(positions.texts, options.seed)
    return Baseline(dense, sets, layers, weights, positions.word_counts())


def compare(
    archive: Archive,
    variant: str,
    prepared: Prepared,
    options: Options,
    arrays: dict[str, np.ndarray],
    base: Baseline,
    device: torch.device,
    report: Report,
) -> dict[str, Any]:
    """Compare one variant with the dense model. Adds the variant's arrays to `arrays`, and returns the drops of the
    controls and of the words as a JSON document."""
    shape, words = arrays["score"].shape, range(len(prepared.positions.words))
    for name in ("drop", "drop_low", "drop_high"):
        arrays[f"{name}/{variant}"] = np.full(shape, np.nan, dtype=np.float32)
    by_layer = np.full((shape[0], len(words), len(WORD_COLUMNS)), np.nan, dtype=np.float32)
    best = [_best_of_word(arrays, word) for word in words]
    over_all_words: dict[int, list[Group]] = {word: [] for word in words}
    measured, tops = [], []
    for done, layer in enumerate(prepared.layers, start=1):
        tops.append(_measure_layer(archive, variant, layer, prepared, options, arrays, base, device))
        by_text = [archive.kept(f"text_activations/{name}", layer) for name in (base.dense, variant)]
        _drop_intervals(variant, layer, by_text, arrays, base)
        for word in words:
            best_here = _best_of_word(arrays, word, layer)
            by_layer[layer, word] = list(_pooled([_group(by_text, best_here, word, base)], base).values())
            among = best[word][best[word] // shape[1] == layer] % shape[1]
            over_all_words[word].append(_group(by_text, among, word, base))
        here = base.layers[layer]
        rows, change = partial(archive.rows, variant, layer), scoring.transform(options.activation)
        by_layer_sums = comparison.group_sums(here.groups, rows, change, prepared.positions, base.sets)
        measured.append((here.groups, here.sums, by_layer_sums))
        report(f"compare {variant}", done, len(prepared.layers), "layers")
    arrays[f"word_damage/{variant}"] = by_layer
    over_all, in_layers = _differences(variant, prepared, arrays, base, tops)
    describe = partial(comparison.controls, positions=prepared.positions, sets=base.sets, weights=base.weights)
    each = [
        describe([one], p_values=found.p_values, in_layer=True) for one, found in zip(measured, in_layers, strict=True)
    ]
    return {
        "controls": asdict(describe(measured, p_values=over_all.p_values)),
        "layers": [
            {"layer": layer, "controls": asdict(found)} for layer, found in zip(prepared.layers, each, strict=True)
        ],
        "words": [_document(_pooled(groups, base)) for groups in over_all_words.values()],
    }


def _differences(
    variant: str, prepared: Prepared, arrays: dict[str, np.ndarray], base: Baseline, pruned: list[Measured]
) -> tuple[Differences, list[Differences]]:
    """Return the differences between top neurons and controls, over all layers and of each layer, and add those of the
    placebo draws to `arrays`. `pruned` are the variant's activations, by layer."""
    layers = [base.layers[layer] for layer in prepared.layers]
    chosen, dense = [layer.chosen for layer in layers], [layer.dense for layer in layers]
    over_all = headline.differences(chosen, dense, pruned, headline.OVER_ALL)
    each = [
        headline.differences([one], [before], [after], headline.IN_LAYER)
        for one, before, after in zip(chosen, dense, pruned, strict=True)
    ]
    if len(over_all.placebo):
        kept = np.full((1 + len(arrays["score"]), *over_all.placebo.shape), np.nan, dtype=np.float32)
        kept[0] = over_all.placebo
        for layer, found in zip(prepared.layers, each, strict=True):
            kept[1 + layer] = found.placebo
        arrays[f"placebo/{variant}"] = kept
    return over_all, each


def _measure_layer(
    archive: Archive,
    variant: str,
    layer: int,
    prepared: Prepared,
    options: Options,
    arrays: dict[str, np.ndarray],
    base: Baseline,
    device: torch.device,
) -> Measured:
    """Read a layer's activations once: store A_m by word, A_m by text and the activation statistics, and compute each
    neuron's drop on its own word. Returns the activations of the layer's top neurons and controls."""
    positions, change = prepared.positions, scoring.transform(options.activation)
    words = arrays["word"][layer]
    _, low, high, *_ = archive.kept(f"spread/{base.dense}", layer).T
    means, own, spreads, halves = [], [], [], []
    for first, values in pieces(archive, variant, layer, device):
        rows = slice(first, first + len(values))
        means.append(scoring.word_means(values, positions, options.activation))
        own.append(comparison.own_word_sums(change(values), positions, words[rows]))
        spreads.append(statistics.spread(values, positions, (low[rows], high[rows])))
        halves.append(half_sums(by_token(values, options.activation), base.sets, positions))
    every = np.concatenate(means).astype(np.float32)  # float32, as stored for the dense model
    archive.keep(f"word_activations/{variant}", layer, every)
    archive.keep(f"spread/{variant}", layer, np.concatenate([part.table for part in spreads]))
    keep_by_text(archive, variant, layer, np.concatenate(own), words, prepared)
    before = archive.kept(f"word_activations/{base.dense}", layer)
    dense, after = (_on_own_word(means, words) for means in (before, every))
    arrays[f"drop/{variant}"][layer] = bootstrap.drops(dense, after)
    return headline.measured(base.layers[layer].chosen, HalfSums.joined(halves), base.sets)


def _on_own_word(means: np.ndarray, words: np.ndarray) -> np.ndarray:
    """Return A_m of each neuron on its own word; NaN for a neuron without an own word."""
    own: np.ndarray = np.where(words >= 0, np.take_along_axis(means, np.maximum(words, 0)[:, None], 1)[:, 0], np.nan)
    return own


def _drop_intervals(
    variant: str, layer: int, by_text: list[np.ndarray], arrays: dict[str, np.ndarray], base: Baseline
) -> None:
    """Compute the bootstrap intervals of all ranked neurons' drops, for AT_ONCE neurons at a time."""
    words = arrays["word"][layer]
    kept = np.flatnonzero((arrays["rank"][layer] > 0) & (words >= 0))
    for word in np.unique(words[kept]):
        of_word = kept[words[kept] == word]
        for some in np.array_split(of_word, -(-len(of_word) // AT_ONCE)):
            bounds = bootstrap.drop_bounds(_group(by_text, some, int(word), base), base.weights)
            arrays[f"drop_low/{variant}"][layer, some], arrays[f"drop_high/{variant}"][layer, some] = bounds.T


def _best_of_word(arrays: dict[str, np.ndarray], word: int, layer: int | None = None) -> np.ndarray:
    """Return the PER_WORD best-ranked neurons whose own word is `word`: as indices within `layer` or, if it is None, as
    layer * neurons + neuron over all layers."""
    here = slice(None) if layer is None else layer
    ranks = np.where(arrays["word"][here] == word, arrays["rank"][here], 0).ravel()
    places = np.flatnonzero(ranks)
    best: np.ndarray = places[np.argsort(ranks[places])][:PER_WORD]
    return best


def _group(by_text: list[np.ndarray], neurons: np.ndarray, word: int, base: Baseline) -> Group:
    """Return a `Group` of neurons on one word, with sums computed from the stored means by text (dense, pruned)."""
    counts = np.repeat(base.counts[[word]], len(neurons), axis=0)
    dense, pruned = (np.where(counts > 0, means[neurons], 0).astype(np.float64) * counts for means in by_text)
    return Group(dense, pruned, counts)


def _pooled(groups: list[Group], base: Baseline) -> dict[str, float]:
    """Return the values of WORD_COLUMNS for one word's neurons; NaN where undefined."""
    sides = ("dense", "pruned", "counts")
    group = Group(*(np.concatenate([getattr(part, side) for part in groups]) for side in sides))
    neurons = len(group.dense)
    if not neurons:
        return dict.fromkeys(WORD_COLUMNS, np.nan) | {"neurons": 0}
    interval = bootstrap.pooled_drop(group, base.weights).interval()
    found = {"drop": interval.value, "low": interval.low, "high": interval.high}
    activation = float((group.dense.sum(1) / group.counts.sum(1)).mean())
    numbers = {name: np.nan if value is None else value for name, value in found.items()}
    return {"neurons": neurons, "activation": activation, **numbers}


def _document(found: dict[str, float]) -> dict[str, Any]:
    """Return the values of WORD_COLUMNS as JSON, with None for NaN."""
    document = {name: value if np.isfinite(value) else None for name, value in found.items()}
    return document | {"neurons": int(found["neurons"])}
