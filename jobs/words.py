"""Whether a word stands in a text. The same rule as the numerics' matching (`nsa/whole_words.py`), which a test
compares it with."""

import re
import unicodedata

# Scripts written without blanks between words: inside them a word needs no boundary.
_UNSPACED = re.compile(r"[฀-໿က-႟ក-៿぀-ヿ㐀-鿿豈-﫿\U00020000-\U0003ffff]")


def occurs(word: str, text: str) -> bool:
    """The word, or a phrase with any blanks between its parts, stands in the text as a whole word, in upper or lower
    case.

    >>> occurs("bad", "Bad food"), occurs("bad", "badly served")
    (True, False)
    """
    parts = word.split()
    if not parts:
        return False
    pattern = re.compile(r"\s+".join(re.escape(part) for part in parts), re.IGNORECASE)
    place = 0
    while match := pattern.search(text, place):
        start, end = match.span()
        if not (_joined(text, start) or _joined(text, end) or _is_mark(text[end : end + 1])):
            return True
        place = start + 1
    return False


def _joined(text: str, place: int) -> bool:
    return 0 < place < len(text) and _spaced_letter(text[place - 1]) and _spaced_letter(text[place])


def _spaced_letter(character: str) -> bool:
    letter = character.isalnum() or character == "_" or _is_mark(character)
    return letter and not _UNSPACED.match(character)


def _is_mark(character: str) -> bool:
    """A combining mark; not a selector that only says how the character before it is drawn."""
    marks = character != "" and unicodedata.category(character).startswith("M")
    return marks and not "\ufe00" <= character <= "\ufe0f"
