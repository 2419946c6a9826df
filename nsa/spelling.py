"""Which tokens spell a word: by character offsets, whatever the tokenizer.

A token is a word's when it overlaps one of its whole-word occurrences inside the text itself, never in the prompt
around it. One kind of token lies about its characters: SentencePiece and its kin put a blank before a text that has
none, and where that blank is a token of its own its offsets are those of the text's first character. It spells none.
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
    """The tokens of `text.prompt` (and of whatever follows it) by the characters of `text.text` that they cover, for
    any number of words to be looked for."""

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
        # Tokenizers hand tokens out in the order of their characters; whatever the order, these two ascend.
        self._places = sorted(places, key=lambda place: tokens.offsets[place][0])
        self._starts = [tokens.offsets[place][0] for place in self._places]
        self._offsets = tokens.offsets
        self._furthest = list(accumulate((tokens.offsets[place][1] for place in self._places), max))

    def tokens_of(self, word: str) -> WordMatch:
        """Where tokens spell the word inside the text itself."""
        found = self.words.occurrences(word)
        places: set[int] = set()
        for start, end in ((a + self._before, b + self._before) for a, b in found):
            among = self._places[bisect_right(self._furthest, start) : bisect_left(self._starts, end)]
            places.update(place for place in among if self._offsets[place][1] > start)
        return WordMatch(word, sorted(places), len(found))
