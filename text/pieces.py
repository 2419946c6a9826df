"""Display texts of tokens that are parts of a character: the first token shows the whole character, the others are
empty.

Tokenizers split a character that has no token into byte tokens, and spell these in an alphabet of their own ("Ã" and
"¶" for ö, or <0xC3> and <0xB6>), which is unreadable.
"""

import re
import unicodedata
from collections.abc import Sequence
from functools import lru_cache

from prunescope.text.words import is_drawn

MAX_PIECES = 64
"""Maximum number of consecutive byte tokens that are decoded together."""
REST = "\N{THIN SPACE}"
"""Displayed for a token that adds no character to the one before it."""

_BYTE = re.compile(r"<0x([0-9A-Fa-f]{2})>")


def drawn(token: str) -> str:
    """The display text of a token. A token that only continues a multi-byte character, or that is invisible, becomes a
    thin space; a combining mark without its letter is preceded by a dotted circle."""
    if not any(is_drawn(character) for character in token):
        return REST
    return f"\N{DOTTED CIRCLE}{token}" if unicodedata.category(token[0]).startswith("M") else token


def readable(tokens: Sequence[str], special: Sequence[bool], text: str) -> list[str]:
    """The tokens of a text, with byte tokens replaced by the characters that they spell. This is for attributions of
    earlier versions, which stored byte tokens as the tokenizer spells them.

    `special` says for each token whether it is a special token, which is not part of the text. A byte token that does
    not match the text at its position is unchanged.
    """
    shown = list(tokens)
    place = start = 0
    while start < len(tokens):
        token = tokens[start]
        if special[start] or not token:
            start += 1
            continue
        whole = next((each for each in (token, token.lstrip(" ")) if text.startswith(each, place)), None)
        if whole is not None:
            place += len(whole)
            start += 1
            continue
        pieces = _characters(tokens, special, start, text, place)
        shown[start : start + len(pieces)] = pieces
        place += sum(map(len, pieces))
        if not pieces:
            found = text.find(token, place, place + MAX_PIECES)
            place = found + len(token) if found >= 0 else place
        start += max(1, len(pieces))
    return shown


def _characters(tokens: Sequence[str], special: Sequence[bool], start: int, text: str, place: int) -> list[str]:
    """The display texts of the fewest byte tokens from `start` on that together spell whole characters of the text at
    `place`; empty if there are none."""
    spelled, ends = b"", []
    for at in range(start, min(len(tokens), start + MAX_PIECES)):
        piece = None if special[at] else _bytes_of(tokens[at])
        if piece is None:
            return []
        spelled += piece
        ends.append(len(spelled))
        try:
            characters = spelled.decode()
        except UnicodeDecodeError:
            continue
        if not text.startswith(characters, place):
            return []
        starts = [len(characters[:count].encode()) for count in range(len(characters))]
        return [
            "".join(c for c, byte in zip(characters, starts, strict=True) if first <= byte < end)
            for first, end in zip([0, *ends], ends, strict=False)
        ]
    return []


def _bytes_of(token: str) -> bytes | None:
    """The bytes of a token, spelled as `<0xC3>` or in GPT-2's byte alphabet; None if it is not a byte token."""
    if match := _BYTE.fullmatch(token):
        return bytes([int(match[1], 16)])
    alphabet = _byte_alphabet()
    if all(character in alphabet for character in token):
        return bytes(alphabet[character] for character in token)
    return None


@lru_cache(maxsize=1)
def _byte_alphabet() -> dict[str, int]:
    """GPT-2's byte alphabet, character -> byte: printable Latin-1 characters stand for their own byte, characters from
    256 on for the other bytes."""
    plain = [*range(ord("!"), ord("~") + 1), *range(ord("¡"), ord("¬") + 1), *range(ord("®"), ord("ÿ") + 1)]
    others = [byte for byte in range(256) if byte not in plain]
    return {chr(byte): byte for byte in plain} | {chr(256 + count): byte for count, byte in enumerate(others)}
