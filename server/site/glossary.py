"""Definitions of terms on pages, from `docs/glossary.md`."""

import re
from functools import lru_cache

from markupsafe import Markup

from prunescope.frontend import GLOSSARY

_ROW = re.compile(r"^\| (?!---|word \| meaning)([^|]+) \| (.+) \|$", re.MULTILINE)
_LINK = re.compile(r"\[([^\]]+)\]\([^)]+\)")


@lru_cache(maxsize=1)
def definitions() -> dict[str, str]:
    """Word -> definition, as plain text. A row that names a word and its notation (``neuron `L15/N2194```) defines the
    word."""
    rows = _ROW.findall(GLOSSARY.read_text(encoding="utf-8"))
    return {word.split(" `")[0]: _LINK.sub(r"\1", meaning).replace("`", "") for word, meaning in rows}


def term(label: str, word: str | None = None) -> str:
    """A template filter: ``label`` as a button that shows the definition of ``word``, or of the label if the glossary
    has it; any other label is returned unchanged. Raises KeyError if ``word`` is not in the glossary."""
    meaning = definitions()[word] if word is not None else definitions().get(label)
    if meaning is None:
        return label
    return Markup('<button class="term" type="button" title="{}" data-term="{}">{}</button>').format(
        meaning, word or label, label
    )
