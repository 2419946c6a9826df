"""Whether a word stands in a text. The same rule as the numerics' matching (`nsa/words.py`), which a test compares it
with."""

import re

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
    before = r"(?<!\w)" if _bounded(parts[0][0]) else ""
    after = r"(?!\w)" if _bounded(parts[-1][-1]) else ""
    pattern = before + r"\s+".join(re.escape(part) for part in parts) + after
    return re.search(pattern, text, re.IGNORECASE) is not None


def _bounded(character: str) -> bool:
    return bool(re.match(r"\w", character)) and not _UNSPACED.match(character)
