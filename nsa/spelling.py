"""Finds the tokens that spell a word, by character offsets, for any tokenizer.

A token belongs to a word when it overlaps one of the word's whole-word occurrences in the text itself, not in the
prompt around it. There is one exception. SentencePiece tokenizers add a space before a text; when this space is a token
by itself, its offsets are, wrongly, those of the text's first character. Such a token belongs to no word.
"""

from bisect import bisect_left, bisect_right
from dataclasses import dataclass
from itertools import accumulate

from prunescope.lm.tokens import Tokens
from prunescope.nsa.texts import Text
from prunescope.text.words import WordIndex


@dataclass(frozen=True)
class WordMatch:
    """One influential word of an example and the positions of the tokens that spell its occurrences."""

    word: str
    positions: list[int]
    occurrences: int


class Spelling:
    """An index from characters of `text.text` to the tokens that cover them, for looking up any number of words.
    `tokens` are the tokens of `text.prompt`, which may be followed by a continuation."""

    def __init__(self, text: Text, tokens: Tokens) -> None:
        self.words = WordIndex(text.text)
        self._before = len(text.before)
        places = [
            place
            for place, (start, end) in enumerate(tokens.offsets)
            if start < end
            and not tokens.special[place]
            and not (tokens.texts[place].isspace() and not text.prompt[start : start + 1].isspace())
        ]
        # Tokens are usually, but not always, in the order of their characters. The two arrays must be ascending.
        self._places = sorted(places, key=lambda place: tokens.offsets[place][0])
        self._starts = [tokens.offsets[place][0] for place in self._places]
        self._offsets = tokens.offsets
        self._furthest = list(accumulate((tokens.offsets[place][1] for place in self._places), max))

    def tokens_of(self, word: str) -> WordMatch:
        """Return the positions of the tokens that spell the word in the text itself."""
        found = self.words.occurrences(word)
        places: set[int] = set()
        for start, end in ((a + self._before, b + self._before) for a, b in found):
            among = self._places[bisect_right(self._furthest, start) : bisect_left(self._starts, end)]
            places.update(place for place in among if self._offsets[place][1] > start)
        return WordMatch(word, sorted(places), len(found))
