"""Words as a reader sees them: where one stands in a text, and which words a text has. The same rule as the numerics'
(`nsa/whole_words.py`), which a test compares it with."""

import re
import unicodedata
from itertools import pairwise

# Scripts written without blanks between words: inside them a word needs no boundary.
_UNSPACED = re.compile(r"[฀-໿က-႟ក-៿぀-ヿ㐀-鿿豈-﫿\U00020000-\U0003ffff]")
_APOSTROPHES = "'’"  # noqa: RUF001 - the typographic apostrophe is meant
_JOINER = "\u200d"


def occurs(word: str, text: str) -> bool:
    """The word, or a phrase with any blanks between its parts, stands in the text as a whole word, in upper or lower
    case.

    >>> occurs("bad", "Bad food"), occurs("bad", "badly served")
    (True, False)
    """
    return bool(occurrences(word, text))


def occurrences(word: str, text: str) -> list[tuple[int, int]]:
    """Character ranges [start, end) of every whole-word occurrence of a word or phrase in a text, in any case.

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


def words_of(text: str) -> list[tuple[int, int]]:
    """Character ranges of the words of a text in order: runs of letters, digits and apostrophes between them; one by
    one the characters of scripts without blanks, and emoji.

    >>> words_of("So bad, don't")
    [(0, 2), (3, 6), (8, 13)]
    """
    starts = [place for place in range(len(text)) if not _continues(text, place)]
    return [
        (start, end)
        for start, end in pairwise([*starts, len(text)])
        if _is_letter(text[start]) or unicodedata.category(text[start]) == "So"
    ]


def _continues(text: str, place: int) -> bool:
    """Whether the character at `place` belongs to the word of the one before it."""
    if place == 0:
        return False
    before, character = text[place - 1], text[place]
    if before in _APOSTROPHES:
        return place > 1 and _spaced_letter(text[place - 2]) and _spaced_letter(character)
    if character in _APOSTROPHES:
        return _spaced_letter(before) and _spaced_letter(text[place + 1 : place + 2])
    if _is_mark(character) or _is_selector(character) or _JOINER in (character, before):
        return not before.isspace()
    if unicodedata.category(character) == "Sk" and unicodedata.category(before) == "So":  # a skin tone
        return True
    return _joined(text, place)


def _joined(text: str, place: int) -> bool:
    return 0 < place < len(text) and _spaced_letter(text[place - 1]) and _spaced_letter(text[place])


def _spaced_letter(character: str) -> bool:
    return bool(character) and (_is_letter(character) or _is_mark(character)) and not _UNSPACED.match(character)


def _is_letter(character: str) -> bool:
    return character.isalnum() or character == "_"


def _is_mark(character: str) -> bool:
    """A combining mark; not a selector."""
    return character != "" and unicodedata.category(character).startswith("M") and not _is_selector(character)


def _is_selector(character: str) -> bool:
    """It says how the character before it is drawn, and changes no word."""
    return "\ufe00" <= character <= "\ufe0f"
