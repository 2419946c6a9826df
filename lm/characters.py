"""Detection of lone surrogates, which Python strings and JSON ("\\ud800") can hold but UTF-8 and tokenizers cannot."""

import re

_HALF = re.compile("[\ud800-\udfff]")


def half_character(text: str) -> str | None:
    """Return the end of an error message ("holds half of a character ...") for a text with a lone surrogate; None for a
    valid text.

    >>> half_character("good\\ud800")
    "holds half of a character ('\\\\ud800' at character 4), which is no text; take it out"
    """
    found = _HALF.search(text)
    if found is None:
        return None
    return f"holds half of a character ({found.group()!a} at character {found.start()}), which is no text; take it out"
