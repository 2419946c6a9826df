"""Step 2 of NSA over all layers of the dense model: Scores, ranks, own words, activation statistics, and the top
neurons of each word and token."""

from dataclasses import dataclass, field, replace

import numpy as np
import torch
from jaxtyping import Float

from prunescope.nsa import comparison, placebo, scoring, significance, statistics, top
from prunescope.nsa.archive import Archive, pieces
from prunescope.nsa.preparation import Options, Prepared, Report
from prunescope.nsa.selection import Tops
from prunescope.nsa.tables import ranks_of
from prunescope.nsa.top import Top
from prunescope.nsa.word_sets import HalfSums, WordSets, by_token, half_sums, halves_of, word_sets

FLOATS = ("score", "p_value", "lift", "z", "q_value", "deviation")


@dataclass
class Matched:
    """The result, filled in layer by layer: `arrays` [layers, neurons] by name, the top neurons of each word and token
    over all layers, the best neurons of every word set (`tops`), and the top neurons of each word by layer."""

    arrays: dict[str, np.ndarray]
    words: Top
    tokens: Top
    tops: Tops
    words_by_layer: dict[int, Top] = field(default_factory=dict)

    def all_arrays(self, layers: int) -> dict[str, np.ndarray]:
        """Return all results to be stored as arrays, by name. `layers` is the model's number of layers, recorded or
        not."""
        blank = Top.none(*self.words.neurons.shape)
        by_layer = [self.words_by_layer.get(layer, blank) for layer in range(layers)]
        return {
            **self.arrays,
            "word_neurons": self.words.neurons,
            "word_scores": self.words.scores,
            "word_neurons_by_layer": np.stack([found.neurons for found in by_layer]),
            "word_scores_by_layer": np.stack([found.scores for found in by_layer]),
            "token_neurons": self.tokens.neurons,
            "token_scores": self.tokens.scores,
        }


def match(
    archive: Archive,
    variant: str,
    prepared: Prepared,
    options: Options,
    shape: tuple[int, int],
    device: torch.device,
    report: Report,
) -> Matched:
    """Score every neuron of the recorded layers. store/attributions/activations.py describes the resulting arrays."""
    positions = prepared.positions
    arrays = {name: np.full(shape, np.nan, dtype=np.float32) for name in FLOATS}
    arrays["word"] = np.full(shape, -1, dtype=np.int32)
    found = Matched(
        arrays,
        Top.none(len(positions.words), top.OF_A_WORD),
        Top.none(len(positions.text), top.OF_A_TOKEN),
        Tops(_word_sets(prepared, options), options.floor),
    )
    exact_score, exact_p = np.full(shape, np.nan), np.full(shape, np.nan)
    redraws = 0 if options.placebo else options.permutations
    draws = scoring.redraws(positions, redraws, options.seed).to(device)
    for done, layer in enumerate(prepared.layers, start=1):
        scores = _score_layer(archive, variant, layer, prepared, options, device, draws, found)
        exact_score[layer], exact_p[layer] = scores.score, scores.p_value
        report("score", done, len(prepared.layers), "layers")
    arrays["score"], arrays["p_value"] = exact_score.astype(np.float32), exact_p.astype(np.float32)
    arrays["q_value"] = significance.q_values(exact_p).astype(np.float32)
    arrays["rank"] = ranks_of(exact_score)
    return found


def _score_layer(
    archive: Archive,
    variant: str,
    layer: int,
    prepared: Prepared,
    options: Options,
    device: torch.device,
    draws: torch.Tensor,
    found: Matched,
) -> scoring.Scores:
    """Score one layer, add its results to `found` and to the archive, and return its Scores in double precision."""
    positions, arrays = prepared.positions, found.arrays
    change = scoring.transform(options.activation)
    blocks, spreads, own, halves = [], [], [], []
    for _, values in pieces(archive, variant, layer, device):
        blocks.append(scoring.sums(values, positions, options.activation, draws))
        spreads.append(statistics.spread(values, positions))
        halves.append(half_sums(by_token(values, options.activation), found.tops.sets, positions))
        words = comparison.own_words(blocks[-1].words)
        own.append(comparison.own_word_sums(change(values), positions, words))
    by_set = HalfSums.joined(halves)
    found.tops.add(layer, by_set)
    sums = scoring.Sums.joined(blocks)
    if options.placebo:
        sums = _against_placebo(sums, by_set)
    scores = scoring.scores(sums, positions, sums.p_value, floor=options.floor)
    arrays["z"][layer], arrays["lift"][layer] = scores.z, scores.lift
    arrays["word"][layer] = comparison.own_words(sums.words)
    archive.keep(f"word_activations/{variant}", layer, sums.words.astype(np.float32))
    archive.keep(f"spread/{variant}", layer, np.concatenate([part.table for part in spreads]))
    arrays["deviation"][layer] = np.concatenate([part.deviation for part in spreads])
    keep_by_text(archive, variant, layer, np.concatenate(own), arrays["word"][layer], prepared)
    _find_top(archive, variant, layer, prepared, options, device, sums, scores, found)
    return scores


def _word_sets(prepared: Prepared, options: Options) -> WordSets:
    """Return the influential words and the placebo draws as sets of tokens, by halves of the texts."""
    labels = [example.label for example in prepared.examples]
    placebos = placebo.draws(prepared.words, prepared.positions, options.placebo, options.seed)
    return word_sets(prepared.positions, placebos, halves_of(prepared.positions, labels, options.seed))


def _against_placebo(sums: scoring.Sums, by_set: HalfSums) -> scoring.Sums:
    """Return the sums with the mean, the variance and the p-values of the placebo draws."""
    every = by_set.sets.sum(0)
    draws = every[1:]
    return replace(
        sums,
        null_mean=draws.mean(0).cpu().numpy(),
        null_variance=draws.var(0, correction=min(1, len(draws) - 1)).cpu().numpy(),
        p_value=significance.p_values(draws, every[0]),
    )


def _find_top(
    archive: Archive,
    variant: str,
    layer: int,
    prepared: Prepared,
    options: Options,
    device: torch.device,
    sums: scoring.Sums,
    scores: scoring.Scores,
    found: Matched,
) -> None:
    """Find the top neurons of each word and token, in this layer and over all layers so far. This reads the activations
    a second time, because only ranked neurons are considered and the ranked ones must be known first."""
    positions, change = prepared.positions, scoring.transform(options.activation)
    shift = layer * len(scores.score)
    of_words = top.of_words(sums.words, positions, sums.denominator, scores.ranked)
    found.words_by_layer[layer] = of_words
    found.words = found.words.merged(of_words, shift)
    of_tokens = Top.none(*found.tokens.neurons.shape)
    for first, values in pieces(archive, variant, layer, device):
        rows = slice(first, first + len(values))
        of_tokens = of_tokens.merged(
            top.of_tokens(change(values), positions, sums.denominator[rows], scores.ranked[rows]), first
        )
    archive.keep("token_neurons_by_layer", layer, of_tokens.neurons)
    archive.keep("token_scores_by_layer", layer, of_tokens.scores)
    found.tokens = found.tokens.merged(of_tokens, shift)


def keep_by_text(
    archive: Archive,
    variant: str,
    layer: int,
    sums: Float[np.ndarray, "neurons texts"],
    words: np.ndarray,
    prepared: Prepared,
) -> None:
    """Store each neuron's mean activation over the tokens of its own word, for every text; NaN for a text without the
    word. `sums` are from `comparison.own_word_sums`."""
    counts = np.where((words >= 0)[:, None], prepared.positions.word_counts()[words], 0)
    means = np.divide(sums, counts, out=np.full(sums.shape, np.nan), where=counts > 0)
    archive.keep(f"text_activations/{variant}", layer, means.astype(np.float32))
