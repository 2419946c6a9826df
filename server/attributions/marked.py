"""Texts whose influential words are marked."""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache

from prunescope.text.words import WordIndex, fold

MAX_TEXTS = 512
"""Maximum number of texts whose marked parts are cached."""


@dataclass(frozen=True)
class Part:
    """A part of a text; ``word`` is the folded influential word that it is, None between words."""

    text: str
    word: str | None


@lru_cache(maxsize=MAX_TEXTS)
def marked(text: str, words: tuple[str, ...]) -> Sequence[Part]:
    """A text as parts that are influential words and parts between them. Of overlapping words, the first one is
    marked, and the longest one that begins there."""
    index = WordIndex(text)
    found = sorted(
        ((start, end, fold(word)) for word in words for start, end in index.occurrences(word)),
        key=lambda each: (each[0], -each[1]),
    )
    parts, place = [], 0
    for start, end, word in found:
        if start < place:
            continue
        if start > place:
            parts.append(Part(text[place:start], None))
        parts.append(Part(text[start:end], word))
        place = end
    if place < len(text):
        parts.append(Part(text[place:], None))
    return tuple(parts)
