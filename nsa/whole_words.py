"""Words as a reader sees them: where one stands in a text, and which words a text has.

The same rule as `jobs/words.py`, which a test holds against this one. A letter with combining marks is one letter, and
inside scripts that are written without blanks a word needs no boundary.
"""

import re
import unicodedata
from itertools import pairwise

# Scripts written without blanks between words: Thai, Lao, Burmese, Khmer, kana, Han.
_UNSPACED = re.compile(r"[฀-໿က-႟ក-៿぀-ヿ㐀-鿿豈-﫿\U00020000-\U0003ffff]")
_APOSTROPHES = "'’"  # noqa: RUF001 - the typographic apostrophe is meant
_JOINER = "\u200d"


def occurrences(word: str, text: str) -> list[tuple[int, int]]:
    """Character ranges [start, end) of every whole-word occurrence of `word` in `text`, in any case.

    A word may be a phrase; any blanks in the text stand for the blanks between its parts.

    >>> occurrences("bad", "Bad food, badly served. Bad!")
    [(0, 3), (24, 27)]
    """
    parts = word.split()
    if not parts:
        return []
    pattern = re.compile(r"\s+".join(re.escape(part) for part in parts), re.IGNORECASE)
    found, place = [], 0
    while match := pattern.search(text, place):
        start, end = match.span()
        whole = not (_joined(text, start) or _joined(text, end) or _is_mark(text[end : end + 1]))
        if whole:
            found.append((start, end))
        place = end if whole else start + 1
    return found


def distinct_words(text: str) -> list[str]:
    """The words of a text in order, each once in any case: runs of letters, digits and apostrophes between them; one
    by one the characters of scripts without blanks, and emoji.

    >>> distinct_words("So bad, so don't 😡")
    ['So', 'bad', "don't", '😡']
    """
    found: dict[str, str] = {}
    starts = [place for place in range(len(text)) if not _continues(text, place)]
    for start, end in pairwise([*starts, len(text)]):
        word = text[start:end]
        if _is_letter(word[0]) or unicodedata.category(word[0]) == "So":
            found.setdefault(word.lower(), word)
    return list(found.values())


def _continues(text: str, place: int) -> bool:
    """Whether the character at `place` belongs to the word of the one before it."""
    if place == 0:
        return False
    before, character = text[place - 1], text[place]
    if before in _APOSTROPHES:
        return place > 1 and _spaced_letter(text[place - 2]) and _spaced_letter(character)
    if character in _APOSTROPHES:
        return _spaced_letter(before) and _spaced_letter(text[place + 1 : place + 2])
    if _is_mark(character) or _is_variation(character) or character == _JOINER or before == _JOINER:
        return not before.isspace()
    if unicodedata.category(character) == "Sk" and unicodedata.category(before) == "So":  # a skin tone
        return True
    return _joined(text, place)


def _joined(text: str, place: int) -> bool:
    """Whether the characters before and at `place` are both inside one word of a script with blanks."""
    return 0 < place < len(text) and _spaced_letter(text[place - 1]) and _spaced_letter(text[place])


def _spaced_letter(character: str) -> bool:
    return bool(character) and (_is_letter(character) or _is_mark(character)) and not _UNSPACED.match(character)


def _is_letter(character: str) -> bool:
    return character.isalnum() or character == "_"


def _is_mark(character: str) -> bool:
    return character != "" and unicodedata.category(character).startswith("M") and not _is_variation(character)


def _is_variation(character: str) -> bool:
    """A selector says how the character before it is drawn, and changes no word."""
    return "\ufe00" <= character <= "\ufe0f"
