"""Halves of characters: Python and JSON ("\\ud800") can hold what no UTF-8 file and no tokenizer can."""

import re

_HALF = re.compile("[\ud800-\udfff]")


def half_character(text: str) -> str | None:
    """What is wrong with a text that holds a lone surrogate, as a sentence goes on about it; None where nothing is.

    >>> half_character("good\\ud800")
    "holds half of a character ('\\\\ud800' at character 4), which is no text; take it out"
    """
    found = _HALF.search(text)
    if found is None:
        return None
    return f"holds half of a character ({found.group()!a} at character {found.start()}), which is no text; take it out"
