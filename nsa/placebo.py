"""Placebo words: randomly drawn words of the same texts, which show what the method finds by chance.

The words of every text, the influential ones included, are divided into classes of words that are alike in

    tokens       the number of counted tokens of all of the word's occurrences in the text
    content      whether the word is a content word or a function word (text/content.py)
    octave       floor(log2(1 + id)) of the word's highest token id; tokenizers number tokens by frequency, roughly
    third        the third of the text's words in which the word first occurs

One after the other, each of these divides every class into its parts of at least MIN_CLASS words; the words of smaller
parts together are one further part. A class is not divided where no part is that large, or fewer than MIN_CLASS words
would be left over. A placebo draw takes from every class, at random and without replacement, as many words as are
influential in it.

The classes do not depend on which words are influential, and influential words can be drawn again. So words that were
chosen without regard to activations, within classes, are exchangeable with their draws, and their p-values are exact (a
stratified permutation test). Draws from the other words only are not exchangeable with the influential words: on the
demo model, they give 22 % of all neurons p < 0.05 for words drawn at random.

The text's words are disjoint sets of tokens: a token that several words share belongs to the first one, influential
words first.
"""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from operator import attrgetter

import numpy as np
from jaxtyping import Int

from prunescope.lm.tokens import Tokens
from prunescope.nsa.examples import Example, Positions
from prunescope.nsa.spelling import Spelling
from prunescope.nsa.texts import Text
from prunescope.text.content import is_content

MIN_CLASS = 5
"""Minimum number of words in a part of a class."""


@dataclass(frozen=True)
class TextWord:
    """One word of a text. `positions`: the indices, within the example, of the tokens that spell it."""

    positions: tuple[int, ...]
    influential: bool
    content: bool
    octave: int


@dataclass(frozen=True)
class _Place:
    """A word of a text with at least one counted token. `tokens`: their positions in all texts."""

    tokens: Int[np.ndarray, " tokens"]
    influential: bool
    third: int
    content: bool
    octave: int


def text_words(text: Text, tokens: Tokens, example: Example) -> list[TextWord]:
    """Return the influential words of an example, then all words of its text."""
    spelling = Spelling(text, tokens)
    named = [(match.word, match.positions, True) for match in example.words]
    others = [(word, spelling.tokens_of(word).positions, False) for word in spelling.words.distinct()]
    return [
        TextWord(
            tuple(positions), influential, is_content(word), _octave([example.token_ids[place] for place in positions])
        )
        for word, positions, influential in (*named, *others)
        if positions
    ]


def draws(
    words: Sequence[Sequence[TextWord]], positions: Positions, count: int, seed: int
) -> list[Int[np.ndarray, " tokens"]]:
    """Return the positions of the tokens of `count` placebo draws. `words` are the words of every text."""
    rng = np.random.default_rng([seed, count])
    every = [
        one
        for place, span in enumerate(positions.spans)
        for one in _classes(_places(words[place], span.start, positions))
    ]
    classes = [(one, number) for one in every if (number := sum(word.influential for word in one))]
    return [_draw(classes, rng) for _ in range(count)]


def _octave(ids: Sequence[int]) -> int:
    return int(math.log2(1 + max(ids)))


def _places(words: Sequence[TextWord], start: int, positions: Positions) -> list[_Place]:
    """Return the words of one text with the counted tokens that belong to them alone. `start` is the position of the
    text's first token."""
    drawable = positions.drawable
    taken: set[int] = set()
    found: list[tuple[TextWord, np.ndarray]] = []
    for word in words:
        here = [start + place for place in word.positions]
        kept = [
            place
            for place in here
            if place not in taken and (positions.influential[place] if word.influential else drawable[place])
        ]
        # A word that shares a token with an influential word is not another word.
        if not kept or (not word.influential and any(positions.influential[place] for place in here)):
            continue
        taken.update(kept)
        found.append((word, np.array(kept)))
    order = np.argsort(np.argsort([int(tokens[0]) for _, tokens in found], kind="stable"), kind="stable")
    return [
        _Place(tokens, word.influential, 3 * int(rank) // len(found), word.content, word.octave)
        for (word, tokens), rank in zip(found, order, strict=True)
    ]


def _classes(places: list[_Place]) -> list[list[_Place]]:
    """Divide the words of one text into classes."""
    classes = [places]
    for key in (_tokens, attrgetter("content"), attrgetter("octave"), attrgetter("third")):
        classes = [part for one in classes for part in _divided(one, key)]
    return classes


def _tokens(place: _Place) -> int:
    return len(place.tokens)


def _divided(one: list[_Place], key: Callable[[_Place], int]) -> list[list[_Place]]:
    """Divide a class by a key, or return it whole."""
    parts: dict[int, list[_Place]] = {}
    for place in one:
        parts.setdefault(key(place), []).append(place)
    large = [part for part in parts.values() if len(part) >= MIN_CLASS]
    rest = [place for part in parts.values() if len(part) < MIN_CLASS for place in part]
    if not large or 0 < len(rest) < MIN_CLASS:
        return [one]
    return [*large, rest] if rest else large


def _draw(classes: list[tuple[list[_Place], int]], rng: np.random.Generator) -> Int[np.ndarray, " tokens"]:
    chosen = [one[place].tokens for one, number in classes for place in rng.choice(len(one), number, replace=False)]
    return np.sort(np.concatenate(chosen)) if chosen else np.empty(0, dtype=np.int64)
