"""Placebo words: random other words of the same texts, which show what the method finds by chance.

A placebo draw has, in every text, one other word in place of each influential word. The replacement is drawn at random
among the words of the text that are alike in

    tokens       the number of counted tokens of all of the word's occurrences in the text
    third        the third of the text's words in which the word first occurs
    content      whether the word is a content word or a function word (text/content.py)
    octave       floor(log2(1 + id)) of the word's highest token id; tokenizers number tokens by frequency, roughly

Where fewer than MIN_CANDIDATES words are alike, the demands are dropped in this order: third, octave, content, and
finally tokens, where the words with the nearest numbers of tokens are taken. No word is drawn twice in a draw. Where a
text has no other word left, the influential word remains.

The text's words are disjoint sets of tokens: a token that several words share belongs to the first one, influential
words first.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from jaxtyping import Int

from prunescope.lm.tokens import Tokens
from prunescope.nsa.examples import Example, Positions
from prunescope.nsa.spelling import Spelling
from prunescope.nsa.texts import Text
from prunescope.text.content import is_content

MIN_CANDIDATES = 5


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
    texts = [_candidates(_places(words[place], span.start, positions)) for place, span in enumerate(positions.spans)]
    return [_draw(texts, rng) for _ in range(count)]


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


def _candidates(places: list[_Place]) -> list[tuple[_Place, list[_Place], list[_Place]]]:
    """Return for each influential word of a text: (word, the words that may replace it, all other words by nearness of
    their number of tokens)."""
    others = [place for place in places if not place.influential]
    return [(word, *_alike(word, others)) for word in places if word.influential]


def _alike(word: _Place, others: list[_Place]) -> tuple[list[_Place], list[_Place]]:
    nearest = sorted(others, key=lambda other: abs(len(other.tokens) - len(word.tokens)))
    demands: tuple[tuple[str, ...], ...] = (("third", "octave", "content"), ("octave", "content"), ("content",), ())
    for names in demands:
        alike = [
            other
            for other in others
            if len(other.tokens) == len(word.tokens)
            and all(getattr(other, name) == getattr(word, name) for name in names)
        ]
        if len(alike) >= MIN_CANDIDATES:
            return alike, nearest
    return nearest[:MIN_CANDIDATES], nearest


def _draw(
    texts: list[list[tuple[_Place, list[_Place], list[_Place]]]], rng: np.random.Generator
) -> Int[np.ndarray, " tokens"]:
    chosen: list[np.ndarray] = []
    for slots in texts:
        used: set[int] = set()
        for slot in rng.permutation(len(slots)):
            word, alike, nearest = slots[slot]
            free = [each for each in alike if id(each) not in used] or [
                each for each in nearest if id(each) not in used
            ][:1]
            taken = free[int(rng.integers(len(free)))] if free else word
            used.add(id(taken))
            chosen.append(taken.tokens)
    return np.sort(np.concatenate(chosen)) if chosen else np.empty(0, dtype=np.int64)
