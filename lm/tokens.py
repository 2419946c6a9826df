"""Tokenises texts and keeps each token's character range in the text."""

import unicodedata
from bisect import bisect_right
from dataclasses import dataclass

from transformers import PreTrainedTokenizerBase

from prunescope.lm.errors import BadText, UnsupportedModel
from prunescope.lm.tokenizer import added, check_characters, without_end


@dataclass(frozen=True)
class Tokens:
    """One text's tokens; the four lists are parallel.

    `texts` are the tokens for display: the token's characters with its leading space (a newline is "\\n"), or the
    vocabulary entry of a special token. When several byte tokens form one character, the first has the character and
    the others are empty. `offsets` are (start, end) in characters of the text, (0, 0) for special tokens added by the
    tokenizer.
    """

    ids: list[int]
    texts: list[str]
    offsets: list[tuple[int, int]]
    special: list[bool]


class Displayed:
    """The display text of each token of a tokenizer, decoded once. A caller that tokenises many texts passes one object
    to all calls of `tokenize`."""

    def __init__(self, tokenizer: PreTrainedTokenizerBase) -> None:
        self._tokenizer = tokenizer
        self._special = set(tokenizer.all_special_ids)
        # A token is decoded after a letter, because decoders drop a space at the start of a text.
        self._anchor: list[int] = tokenizer.encode("a", add_special_tokens=False)
        self._before = str(tokenizer.decode(self._anchor, clean_up_tokenization_spaces=False))
        self._known: dict[int, str | None] = {}

    def character(self, token: int) -> str | None:
        """The decoded text of one token, for a special token its vocabulary entry; None for part of a character."""
        if token not in self._known:
            self._known[token] = self._decoded(token)
        return self._known[token]

    def text(self, token: int) -> str:
        """The decoded text of one token; for a special token or part of a character its vocabulary entry."""
        shown = self.character(token)
        return str(self._tokenizer.convert_ids_to_tokens(token)) if shown is None else shown

    def is_special(self, token: int) -> bool:
        """Whether the token is one of the tokenizer's special tokens."""
        return token in self._special

    def _decoded(self, token: int) -> str | None:
        piece = str(self._tokenizer.convert_ids_to_tokens(token))
        if token in self._special:
            return piece
        both = str(self._tokenizer.decode([*self._anchor, token], clean_up_tokenization_spaces=False))
        characters = both.removeprefix(self._before)
        return None if "\ufffd" in characters else characters or piece


def tokenize(tokenizer: PreTrainedTokenizerBase, text: str, displayed: Displayed | None = None) -> Tokens:
    """Tokenise one text, without truncation, as the start of a sequence: with the special tokens that the tokenizer
    adds before it (BOS), without those it adds after it (EOS). `displayed` (None: a new one) keeps decoded tokens
    between calls.

    Raises BadText for an empty text or one with a lone surrogate, UnsupportedModel for a tokenizer without offsets.
    """
    if not text.strip():
        raise BadText("the text is empty; give at least one word")
    check_characters(text)
    if not tokenizer.is_fast:
        raise UnsupportedModel(
            f"{type(tokenizer).__name__} cannot give the character range of a token; a tokenizer.json is needed"
        )
    encoding = tokenizer(text, return_offsets_mapping=True, return_special_tokens_mask=True, verbose=False)
    whole: list[int] = encoding["input_ids"]
    ids = without_end(whole, added(tokenizer).behind)
    displayed = displayed or Displayed(tokenizer)
    special = [
        bool(marked) or displayed.is_special(token)
        for token, marked in zip(ids, encoding["special_tokens_mask"], strict=False)
    ]
    offsets = [(start, end) for start, end in encoding["offset_mapping"][: len(ids)]]
    return Tokens(ids, _texts([displayed.character(token) for token in ids], offsets, special, text), offsets, special)


def _texts(shown: list[str | None], offsets: list[tuple[int, int]], special: list[bool], text: str) -> list[str]:
    """Return the display text of each token: its decoded text or, for part of a character (None in `shown`), the
    characters in its offsets that no earlier token displays."""
    texts, done = [], 0
    starts = sorted({start for start, _ in offsets} | {len(text)})
    for piece, (start, end), marked in zip(shown, offsets, special, strict=True):
        if piece is None:
            end = _whole_character(text, start, end, starts[bisect_right(starts, start)] if start < len(text) else end)
        texts.append(text[max(start, done) : end] if piece is None else piece)
        # The space that SentencePiece adds before a text has the offsets of the text's first character.
        if not marked and (piece is None or not piece.isspace() or text[start:end].isspace()):
            done = max(done, end)
    return texts


def _whole_character(text: str, start: int, end: int, most: int) -> int:
    """Return the end of the whole character of which a token is a part; at most `most`. When the tokenizer composes
    characters (NFC), the offsets of a decomposed é or Hangul syllable end after its first code point, and the following
    marks have no token."""
    while end < most and len(unicodedata.normalize("NFC", text[start : end + 1])) == 1:
        end += 1
    return end
