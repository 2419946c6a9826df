"""Step 1 of NSA: the words that decide the task's answer, and where they stand in the text.

Three sources: `manual` (the user's own words), `cot` (the dense model names them, arXiv 2503.01542 section 3.3) and
`occlusion` (the label's log-probability falls when the word is left out).
"""

import math
import re
from collections.abc import Callable, Iterable, Sequence

from lm.errors import BadInput, BadText
from lm.loading import LanguageModel
from nsa.answering import answer
from nsa.occlusion import label_drops
from nsa.prompts import words_prompt
from nsa.texts import FoundWords, Text

MOST_OCCLUDED = 5
LEAST_SHARE = 0.1  # of the largest drop: a word that moves the label less is noise

# Scripts written without blanks between words: inside them a word needs no boundary.
_UNSPACED = re.compile(r"[฀-໿က-႟ក-៿぀-ヿ㐀-鿿豈-﫿\U00020000-\U0003ffff]")
_LIST = re.compile(r"^[ \t]*\[([^\[\]\n]*)\]", re.MULTILINE)


def occurrences(word: str, text: str) -> list[tuple[int, int]]:
    """Character ranges [start, end) of every whole-word occurrence of `word` in `text`, in any case.

    A word may be a phrase; any blanks in the text stand for the blanks between its parts.

    >>> occurrences("bad", "Bad food, badly served. Bad!")
    [(0, 3), (24, 27)]
    """
    parts = word.split()
    if not parts:
        return []
    before = r"(?<!\w)" if _bounded(parts[0][0]) else ""
    after = r"(?!\w)" if _bounded(parts[-1][-1]) else ""
    pattern = before + r"\s+".join(re.escape(part) for part in parts) + after
    return [match.span() for match in re.finditer(pattern, text, re.IGNORECASE)]


def _bounded(character: str) -> bool:
    return bool(re.match(r"\w", character)) and not _UNSPACED.match(character)


def parse_answer(text: str) -> tuple[str, ...]:
    """The words of a model's answer: a line that begins with `[word1,word2,...]`, blanks after the commas or not.

    An answer of any other form names no words; neither does a list with an empty place.
    """
    found = _LIST.search(text)
    if found is None:
        return ()
    words = [word.strip() for word in found.group(1).split(",")]
    return tuple(words) if all(words) else ()


def keep_words(named: Iterable[str], text: str) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """The named words that the text has, and those that it has not; each once, in any case, in the order named."""
    kept: dict[str, str] = {}
    dropped: dict[str, str] = {}
    for word in named:
        (kept if occurrences(word, text) else dropped).setdefault(word.lower(), word)
    return tuple(kept.values()), tuple(dropped.values())


def manual_words(text: Text, lm: LanguageModel) -> FoundWords:
    """The user's own words. Raises BadText for a word that the text does not have."""
    kept, missing = keep_words(text.words or (), text.text)
    if missing:
        raise BadText(
            f"word {missing[0]!r} is not in the text {_start(text.text)!r}: give words that stand in it as whole words"
        )
    return FoundWords(kept, (), None)


def cot_words(text: Text, lm: LanguageModel) -> FoundWords | None:
    """The words that the model itself names, after one worked example; those that the text does not have are dropped.

    The worked example is left out where the context is too short for it; None where that does not help.
    """
    for example in (True, False):
        whole = answer(lm, words_prompt(text.text, example))
        if whole is not None:
            kept, dropped = keep_words(parse_answer(whole), text.text)
            return FoundWords(kept, dropped, whole)
    return None


def occlusion_words(text: Text, lm: LanguageModel) -> FoundWords | None:
    """The words (at most five) without which the label's log-probability falls most, by a tenth of the most or more.

    None where the text, its question and its label are longer than the context.
    """
    every = label_drops(lm, text)
    drops = {word: drop for word, drop in every.items() if not math.isnan(drop)}
    if every and not drops:
        return None
    least = LEAST_SHARE * max(drops.values(), default=0.0)
    ranked = sorted((word for word in drops if drops[word] >= least and drops[word] > 0), key=lambda word: -drops[word])
    return FoundWords(tuple(ranked[:MOST_OCCLUDED]), (), None)


SOURCES: dict[str, Callable[[Text, LanguageModel], FoundWords | None]] = {
    "manual": manual_words,
    "cot": cot_words,
    "occlusion": occlusion_words,
}


def influential_words(
    lm: LanguageModel,
    texts: Sequence[Text],
    source: str,
    *,
    on_text: Callable[[int, int], None] = lambda done, total: None,
) -> list[FoundWords | None]:
    """The influential words of every text; `on_text(done, total)` after each may raise Cancelled.

    None for a text that fits the model's context, but not together with the question that finds its words.

    Raises BadInput for an unknown source, BadText for an empty text, a manual word that is not in its text, or a text
    that the source cannot use (no label for `occlusion`).
    """
    if source not in SOURCES:
        raise BadInput(f"words source {source!r} is unknown: choose one of {', '.join(SOURCES)}")
    check_texts(texts)
    found = []
    for done, text in enumerate(texts, start=1):
        found.append(SOURCES[source](text, lm))
        on_text(done, len(texts))
    return found


def check_texts(texts: Sequence[Text]) -> None:
    """Raise BadText when there is no text, or an empty one."""
    if not texts:
        raise BadText("no texts were given: an attribution needs at least one")
    for place, text in enumerate(texts, start=1):
        if not text.text.strip():
            raise BadText(f"text {place} of {len(texts)} is empty: give it some words or leave it out")


def _start(text: str, most: int = 60) -> str:
    return text if len(text) <= most else text[: most - 3] + "..."
