"""Which tokens spell a word: by character offsets, whatever the tokenizer.

A token is a word's when it overlaps one of its whole-word occurrences inside the text itself, never in the prompt
around it. One kind of token lies about its characters: SentencePiece and its kin put a blank before a text that has
none, and where that blank is a token of its own its offsets are those of the text's first character. It spells none.
"""

from dataclasses import dataclass

from lm.tokens import Tokens
from nsa.texts import Text
from nsa.whole_words import occurrences


@dataclass(frozen=True)
class WordMatch:
    """One influential word of an example and the positions of the tokens that spell its occurrences."""

    word: str
    positions: list[int]
    occurrences: int


def tokens_of(word: str, text: Text, tokens: Tokens) -> WordMatch:
    """Where the tokens of `text.prompt` (and of whatever follows it) spell the word inside `text.text`."""
    ranges = [(a + len(text.before), b + len(text.before)) for a, b in occurrences(word, text.text)]
    places = [
        place
        for place, (start, end) in enumerate(tokens.offsets)
        if not tokens.special[place]
        and any(start < b and end > a for a, b in ranges)
        and not (tokens.texts[place].isspace() and not text.prompt[start].isspace())
    ]
    return WordMatch(word, places, len(ranges))
