"""Step 3 of NSA for one pruned variant, over all layers: each neuron's drop, and the comparison with controls."""

from dataclasses import asdict, dataclass
from functools import partial
from typing import Any

import numpy as np
import torch

from prunescope.nsa import bootstrap, comparison, scoring, statistics
from prunescope.nsa.archive import Archive, pieces
from prunescope.nsa.bootstrap import Group
from prunescope.nsa.comparison import ControlGroups, Sums
from prunescope.nsa.matching import keep_by_text
from prunescope.nsa.preparation import Options, Prepared, Report
from prunescope.nsa.tables import top_count, top_of_layer

PER_WORD = 20  # top neurons of a word, whose pooled drop is the word's drop
WORD_COLUMNS = ("neurons", "activation", "drop", "low", "high")
AT_ONCE = 512  # neurons whose resamples are in memory


@dataclass(frozen=True)
class Baseline:
    """What every pruned variant is compared with: the top neurons and controls of each layer with their dense sums, and
    the resampling weights."""

    dense: str
    layers: dict[int, tuple[ControlGroups, Sums]]
    weights: np.ndarray
    counts: np.ndarray  # [words, texts] tokens


def baseline(
    archive: Archive, dense: str, prepared: Prepared, options: Options, arrays: dict[str, np.ndarray]
) -> Baseline:
    """Choose the top neurons over all layers and of each layer, with their controls, and sum their dense
    activations."""
    ranks, words, positions = arrays["rank"], arrays["word"], prepared.positions
    change = scoring.transform(options.activation)
    layers = {}
    for layer in prepared.layers:
        known = (ranks[layer] > 0) & (words[layer] >= 0)
        chosen = comparison.choose(
            archive.kept(f"word_activations/{dense}", layer),
            words[layer],
            np.flatnonzero(known & (ranks[layer] <= top_count(ranks))),
            top_of_layer(ranks[layer], known),
            ranks[layer] > 0,
            np.random.default_rng([options.seed, layer]),
        )
        rows = partial(archive.rows, dense, layer)
        layers[layer] = chosen, comparison.group_sums(chosen, rows, change, positions)
    return Baseline(dense, layers, bootstrap.resampling_weights(positions.texts, options.seed), positions.word_counts())


def compare(
    archive: Archive,
    variant: str,
    prepared: Prepared,
    options: Options,
    arrays: dict[str, np.ndarray],
    against: Baseline,
    device: torch.device,
    report: Report,
) -> dict[str, Any]:
    """Compare one variant with the dense model: add its arrays to `arrays`, and return its controls and word drops as a
    document."""
    shape, words = arrays["score"].shape, range(len(prepared.positions.words))
    for name in ("drop", "drop_low", "drop_high"):
        arrays[f"{name}/{variant}"] = np.full(shape, np.nan, dtype=np.float32)
    by_layer = np.full((shape[0], len(words), len(WORD_COLUMNS)), np.nan, dtype=np.float32)
    best = [_best(arrays, word) for word in words]
    over_all: dict[int, list[Group]] = {word: [] for word in words}
    measured = []
    for done, layer in enumerate(prepared.layers, start=1):
        _layer(archive, variant, layer, prepared, options, arrays, against, device)
        by_text = [archive.kept(f"text_activations/{name}", layer) for name in (against.dense, variant)]
        _bounds(variant, layer, by_text, arrays, against)
        for word in words:
            here = _best(arrays, word, layer)
            by_layer[layer, word] = list(_pooled([_group(by_text, here, word, against)], against).values())
            among = best[word][best[word] // shape[1] == layer] % shape[1]
            over_all[word].append(_group(by_text, among, word, against))
        chosen, dense = against.layers[layer]
        rows, change = partial(archive.rows, variant, layer), scoring.transform(options.activation)
        measured.append((chosen, dense, comparison.group_sums(chosen, rows, change, prepared.positions)))
        report(f"compare {variant}", done, len(prepared.layers), "layers")
    arrays[f"word_damage/{variant}"] = by_layer
    each = [comparison.controls([one], against.counts, against.weights, in_layer=True) for one in measured]
    return {
        "controls": asdict(comparison.controls(measured, against.counts, against.weights)),
        "layers": [
            {"layer": layer, "controls": asdict(found)} for layer, found in zip(prepared.layers, each, strict=True)
        ],
        "words": [_document(_pooled(groups, against)) for groups in over_all.values()],
    }


def _layer(
    archive: Archive,
    variant: str,
    layer: int,
    prepared: Prepared,
    options: Options,
    arrays: dict[str, np.ndarray],
    against: Baseline,
    device: torch.device,
) -> None:
    """One pass over a layer's activations: store A_m by word and by text and the activation statistics, and compute
    each neuron's drop on its own word."""
    positions, change = prepared.positions, scoring.transform(options.activation)
    words = arrays["word"][layer]
    _, low, high, *_ = archive.kept(f"spread/{against.dense}", layer).T
    means, own, spreads = [], [], []
    for first, values in pieces(archive, variant, layer, device):
        rows = slice(first, first + len(values))
        means.append(scoring.word_means(values, positions, options.activation))
        own.append(comparison.own_word_sums(change(values), positions, words[rows]))
        spreads.append(statistics.spread(values, positions, (low[rows], high[rows])))
    every = np.concatenate(means).astype(np.float32)  # float32, as stored for the dense model
    archive.keep(f"word_activations/{variant}", layer, every)
    archive.keep(f"spread/{variant}", layer, np.concatenate([part.table for part in spreads]))
    keep_by_text(archive, variant, layer, np.concatenate(own), words, prepared)
    before = archive.kept(f"word_activations/{against.dense}", layer)
    dense, left = (_on_own_word(means, words) for means in (before, every))
    arrays[f"drop/{variant}"][layer] = bootstrap.drops(dense, left)


def _on_own_word(means: np.ndarray, words: np.ndarray) -> np.ndarray:
    """A_m of each neuron on its own word; NaN for a neuron without a word."""
    own: np.ndarray = np.where(words >= 0, np.take_along_axis(means, np.maximum(words, 0)[:, None], 1)[:, 0], np.nan)
    return own


def _bounds(
    variant: str, layer: int, by_text: list[np.ndarray], arrays: dict[str, np.ndarray], against: Baseline
) -> None:
    """Compute the bootstrap intervals of all ranked neurons' drops, AT_ONCE neurons at a time."""
    words = arrays["word"][layer]
    kept = np.flatnonzero((arrays["rank"][layer] > 0) & (words >= 0))
    for word in np.unique(words[kept]):
        of_word = kept[words[kept] == word]
        for some in np.array_split(of_word, -(-len(of_word) // AT_ONCE)):
            bounds = bootstrap.drop_bounds(_group(by_text, some, int(word), against), against.weights)
            arrays[f"drop_low/{variant}"][layer, some], arrays[f"drop_high/{variant}"][layer, some] = bounds.T


def _best(arrays: dict[str, np.ndarray], word: int, layer: int | None = None) -> np.ndarray:
    """The PER_WORD best-ranked neurons whose own word is `word`: indices within `layer`, or layer * neurons + neuron
    over all layers."""
    here = slice(None) if layer is None else layer
    ranks = np.where(arrays["word"][here] == word, arrays["rank"][here], 0).ravel()
    places = np.flatnonzero(ranks)
    best: np.ndarray = places[np.argsort(ranks[places])][:PER_WORD]
    return best


def _group(by_text: list[np.ndarray], neurons: np.ndarray, word: int, against: Baseline) -> Group:
    """A `Group` for neurons of one word, with sums recomputed from the stored means by text."""
    counts = np.repeat(against.counts[[word]], len(neurons), axis=0)
    dense, pruned = (np.where(counts > 0, means[neurons], 0).astype(np.float64) * counts for means in by_text)
    return Group(dense, pruned, counts)


def _pooled(groups: list[Group], against: Baseline) -> dict[str, float]:
    """The values of WORD_COLUMNS for one word's neurons; NaN where undefined."""
    sides = ("dense", "pruned", "counts")
    group = Group(*(np.concatenate([getattr(part, side) for part in groups]) for side in sides))
    neurons = len(group.dense)
    if not neurons:
        return dict.fromkeys(WORD_COLUMNS, np.nan) | {"neurons": 0}
    interval = bootstrap.pooled_drop(group, against.weights).interval()
    found = {"drop": interval.value, "low": interval.low, "high": interval.high}
    activation = float((group.dense.sum(1) / group.counts.sum(1)).mean())
    numbers = {name: np.nan if value is None else value for name, value in found.items()}
    return {"neurons": neurons, "activation": activation, **numbers}


def _document(found: dict[str, float]) -> dict[str, Any]:
    document = {name: value if np.isfinite(value) else None for name, value in found.items()}
    return document | {"neurons": int(found["neurons"])}
