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


def tokenize(tokenizer: PreTrainedTokenizerBase, text: str) -> Tokens:
    """Tokenise one text, without truncation, as the start of a sequence: with the special tokens that the tokenizer
    adds before it (BOS), without those it adds after it (EOS).

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
    known_special = set(tokenizer.all_special_ids)
    special = [
        bool(marked) or token in known_special
        for token, marked in zip(ids, encoding["special_tokens_mask"], strict=False)
    ]
    shown = {token: _shown(tokenizer, token, token in known_special) for token in set(ids)}
    offsets = [(start, end) for start, end in encoding["offset_mapping"][: len(ids)]]
    return Tokens(ids, _texts([shown[token] for token in ids], offsets, special, text), offsets, special)


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


def _shown(tokenizer: PreTrainedTokenizerBase, token: int, special: bool) -> str | None:
    """Return the decoded text of one token, None for an incomplete character. The token is decoded after a letter,
    because decoders drop a space at the start of a text."""
    piece = str(tokenizer.convert_ids_to_tokens(token))
    if special:
        return piece
    anchor: list[int] = tokenizer.encode("a", add_special_tokens=False)
    before = str(tokenizer.decode(anchor, clean_up_tokenization_spaces=False))
    both = str(tokenizer.decode([*anchor, token], clean_up_tokenization_spaces=False))
    characters = both.removeprefix(before)
    return None if "\ufffd" in characters else characters or piece
