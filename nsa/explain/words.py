"""The words of the rows: rankings by the paper's Score and drop, and the words of neurons behind the loss.

Activations come from the spools, so no model runs here.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np
from jaxtyping import Float, Int
from transformers import PreTrainedTokenizerBase

from prunescope.lm.architecture import decoder_layers, neuron_count
from prunescope.lm.loading import LanguageModel
from prunescope.lm.tokens import tokenize
from prunescope.nsa import comparison, scoring
from prunescope.nsa.errors import NoInfluentialWords, TextsTooLong
from prunescope.nsa.examples import Example, positions_of
from prunescope.nsa.explain import rankings
from prunescope.nsa.explain.layout import Layout
from prunescope.nsa.explain.outcome import NeuronWord
from prunescope.nsa.explain.sample import Sample
from prunescope.nsa.explain.sites import NEURONS
from prunescope.nsa.explain.spools import Recorded
from prunescope.nsa.preparation import Options, Report, prepare
from prunescope.nsa.sinks import first_tokens
from prunescope.nsa.spelling import Spelling
from prunescope.nsa.texts import Text
from prunescope.text.words import fold

BLOCK = 2048
"""Neurons of a layer that are scored at once."""

BEHIND = 50
"""Neurons behind the loss whose words are found."""

MAX_WORDS = 5
"""Words of one neuron."""


def stored_places(layout: Layout, number: int, ids: Sequence[int]) -> Int[np.ndarray, " tokens"] | None:
    """The places in the stored activations of the tokens of a row's text, -1 for those that the model did not read as
    input (the last of an answer). None if the row was read as other tokens, because it was truncated."""
    row = layout.rows[number]
    inputs = row.choices[row.answer].inputs
    read = min(len(ids), len(inputs))
    if tuple(ids[:read]) != inputs[:read] or read < len(ids) - 1:
        return None
    found = np.full(len(ids), -1)
    found[:read] = layout.place_of(number, row.answer)[:read]
    return found


TextsOf = Callable[[Sequence[int]], list[Text]]
"""The texts of rows by their index in the task's file or split."""


@dataclass(frozen=True)
class Found:
    """The words of the neurons behind the loss (layer, neuron), and the orders by Score and by drop, if influential
    words were found in both halves. `notes` say what was left out."""

    of_neurons: dict[tuple[int, int], list[NeuronWord]]
    crossed: dict[str, rankings.Crossed]
    notes: list[str]


def find_words(
    lm: LanguageModel,
    layout: Layout,
    used: Sample,
    best: rankings.Order,
    texts_of: TextsOf | None,
    *,
    labelled: bool,
    report: Report,
) -> Found:
    """Find the words of the `best` BEHIND neurons in the texts of the rows and, with `labelled`, rank all neurons by
    Score and by drop on the words that have the largest gradient on the label in the dense model (`lm`)."""
    if texts_of is None:
        return Found({}, {}, ["A text has no rows with words: the rankings score and drop, and words, are left out."])
    assert lm.tokenizer is not None
    dense, pruned = used.dense.activations, used.pruned.activations
    rows = range(len(used.rows))
    texts = dict(zip(rows, texts_of([row.index for row in used.rows]), strict=True))
    shape = len(decoder_layers(lm.model)), neuron_count(lm.model)
    named = [(int(place) // shape[1], int(place) % shape[1]) for place in best[:BEHIND]]
    of_neurons = words_of_neurons(lm.tokenizer, layout, texts, named, dense, pruned)
    if not labelled:
        note = "No label follows a text of this task: influential words, and the rankings by them, are left out."
        return Found(of_neurons, {}, [note])
    # Without trailing spaces, as the prompt before a choice is tokenised.
    plain = [replace(text, after=text.after.rstrip()) for text in texts.values()]
    try:
        prepared = prepare(lm, plain, Options(source="gradient", permutations=0), report)
    except (NoInfluentialWords, TextsTooLong) as error:
        return Found(of_neurons, {}, [f"The rankings score and drop are left out: {error}."])
    found = []
    for half in used.halves:
        examples, places = [], []
        for example in prepared.examples:
            at = stored_places(layout, example.index, example.token_ids) if example.index in half else None
            if at is not None and (at >= 0).all():
                examples.append(example)
                places.append(at)
        if not any(any(example.influential[1:]) for example in examples):
            note = (
                "The rankings score and drop are left out: a half of the rows has no whole text with influential words."
            )
            return Found(of_neurons, {}, [note])
        found.append(scored(examples, places, dense, pruned, shape))
    crossed = {
        rankings.SCORE: rankings.crossed(np.stack([half.score for half in found])),
        rankings.DROP: rankings.crossed(np.stack([half.drop for half in found])),
    }
    return Found(of_neurons, crossed, [])


@dataclass(frozen=True)
class Scored:
    """Score of every neuron and drop on its own word [layers, neurons]; NaN for neurons without a rank."""

    score: Float[np.ndarray, "layers neurons"]
    drop: Float[np.ndarray, "layers neurons"]


def scored(
    examples: Sequence[Example],
    places: Sequence[Int[np.ndarray, " tokens"]],
    dense: Recorded,
    pruned: Recorded,
    shape: tuple[int, int],
) -> Scored:
    """Score (Eq. 1 of arXiv 2503.01542, positive activations) of every neuron on the examples, and its drop on its own
    word, without position 0 of each text. `places` are the places of each example's tokens in the stored
    activations."""
    positions = positions_of(examples)
    positions = positions.without(first_tokens([len(example.token_ids) for example in examples]))
    at = np.concatenate(places)
    score, drop = np.full(shape, np.nan), np.full(shape, np.nan)
    for layer in range(shape[0]):
        blocks, after = [], []
        for first in range(0, shape[1], BLOCK):
            columns = np.arange(first, min(first + BLOCK, shape[1]))
            blocks.append(scoring.sums(dense.read(NEURONS, layer, at, columns).float().T, positions))
            after.append(scoring.word_means(pruned.read(NEURONS, layer, at, columns).float().T, positions))
        sums = scoring.Sums.joined(blocks)
        score[layer] = scoring.scores(sums, positions).score
        own = comparison.own_words(sums.words)
        every = np.arange(shape[1])
        before, now = sums.words[every, own], np.concatenate(after)[every, own]
        usable = ~np.isnan(score[layer]) & (before > 0)
        drop[layer, usable] = 1 - now[usable] / before[usable]
    return Scored(score, drop)


def words_of_neurons(
    tokenizer: PreTrainedTokenizerBase,
    layout: Layout,
    texts: Mapping[int, Text],
    neurons: Sequence[tuple[int, int]],
    dense: Recorded,
    pruned: Recorded,
) -> dict[tuple[int, int], list[NeuronWord]]:
    """For each neuron (layer, neuron) the words with its highest mean activation (positive part, A_m) in the dense
    model, at most MAX_WORDS, over all tokens that spell the word in the texts. `texts`: row number -> text. Rows that
    were truncated are left out."""
    names: list[str] = []
    numbers: dict[str, int] = {}
    at: list[int] = []
    of: list[int] = []
    for row, text in texts.items():
        tokens = tokenize(tokenizer, text.prompt)
        places = stored_places(layout, row, tokens.ids)
        if places is None:
            continue
        spelling = Spelling(text, tokens)
        for word in spelling.words.distinct():
            number = numbers.setdefault(fold(word), len(numbers))
            if number == len(names):
                names.append(word)
            own = [int(places[position]) for position in spelling.tokens_of(word).positions if places[position] >= 0]
            at += own
            of += [number] * len(own)
    if not at:
        return {}
    return _highest(names, np.array(at), np.array(of), neurons, dense, pruned)


def _highest(
    names: Sequence[str],
    at: Int[np.ndarray, " tokens"],
    of: Int[np.ndarray, " tokens"],
    neurons: Sequence[tuple[int, int]],
    dense: Recorded,
    pruned: Recorded,
) -> dict[tuple[int, int], list[NeuronWord]]:
    """The words with the highest mean activations of each neuron. `at` are places in the stored activations, `of` the
    number of the word that each spells."""
    counts = np.bincount(of, minlength=len(names))[:, None]
    found: dict[tuple[int, int], list[NeuronWord]] = {}
    for layer in sorted({layer for layer, _ in neurons}):
        columns = np.array(sorted(neuron for own, neuron in neurons if own == layer))
        means = []
        for recorded in (dense, pruned):
            values = recorded.read(NEURONS, layer, at, columns).float().clamp(min=0).numpy()
            sums = np.zeros((len(names), len(columns)))
            np.add.at(sums, of, values)
            means.append(np.divide(sums, counts, out=np.full(sums.shape, -1.0), where=counts > 0))
        for column, neuron in enumerate(columns):
            before, after = means[0][:, column], means[1][:, column]
            best = [word for word in np.argsort(-before, kind="stable")[:MAX_WORDS] if before[word] > 0]
            found[layer, int(neuron)] = [
                NeuronWord(names[word], float(before[word]), float(after[word])) for word in best
            ]
    return found
