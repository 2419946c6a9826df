"""Step 1 of NSA: the words that decide the task's answer.

Four sources: `manual` (the user's own words), `cot` (the dense model names them, arXiv 2503.01542 section 3.3),
`occlusion` (the label's log-probability falls when the word is left out) and `gradient` (gradient times input on the
label's log-probability).
"""

from collections.abc import Callable, Iterable, Sequence

from prunescope.lm.characters import half_character
from prunescope.lm.errors import BadInput, BadText
from prunescope.lm.loading import LanguageModel
from prunescope.nsa.answering import answer, parse_answer
from prunescope.nsa.gradient import word_gradients
from prunescope.nsa.labels import largest
from prunescope.nsa.occlusion import label_drops
from prunescope.nsa.prompts import words_prompt
from prunescope.nsa.texts import FoundWords, Text, start_of
from prunescope.text.words import WordIndex, fold

__all__ = ["SOURCES", "check_texts", "influential_words", "keep_words", "parse_answer"]


def keep_words(named: Iterable[str], text: str) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """The named words that the text has, and those that it has not; each once, in any spelling, in the order named."""
    kept: dict[str, str] = {}
    dropped: dict[str, str] = {}
    words = WordIndex(text)
    for word in named:
        (kept if word in words else dropped).setdefault(fold(word), word)
    return tuple(kept.values()), tuple(dropped.values())


def manual_words(text: Text, lm: LanguageModel) -> FoundWords:
    """The user's own words. Raises BadText for a word that the text does not have."""
    kept, missing = keep_words(text.words or (), text.text)
    if missing:
        start = start_of(text.text)
        raise BadText(f"word {missing[0]!r} is not in the text {start!r}: give words that stand in it as whole words")
    return FoundWords(kept, (), None)


def cot_words(text: Text, lm: LanguageModel) -> FoundWords | None:
    """The words that the model itself names, after one worked example; those that the text does not have are dropped.

    The worked example is left out where the context is too short for it; None where that does not help.
    """
    for example in (True, False):
        whole = answer(lm, words_prompt(text.text, example, text.group))
        if whole is not None:
            kept, dropped = keep_words(parse_answer(whole.text, text.text), text.text)
            return FoundWords(kept, dropped, whole.text, whole.plain_reason)
    return None


def occlusion_words(text: Text, lm: LanguageModel) -> FoundWords | None:
    """The words (at most five) without which the label's log-probability falls most, by a tenth of the most or more.

    None where the text, its question and its label are longer than the context.
    """
    drops = label_drops(lm, text)
    return None if drops is None else FoundWords(largest(drops), (), None)


def gradient_words(text: Text, lm: LanguageModel) -> FoundWords | None:
    """The words (at most five) with the largest gradient times input, none under a tenth of the largest.

    None where the text, its question and its label are longer than the context.
    """
    amounts = word_gradients(lm, text)
    return None if amounts is None else FoundWords(largest(amounts), (), None)


SOURCES: dict[str, Callable[[Text, LanguageModel], FoundWords | None]] = {
    "manual": manual_words,
    "cot": cot_words,
    "occlusion": occlusion_words,
    "gradient": gradient_words,
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
    that the source cannot use (no label for `occlusion` and `gradient`).
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
    """Raise BadText when there is no text, an empty one, or half a character in one, its label or its words."""
    if not texts:
        raise BadText("no texts were given: an attribution needs at least one")
    for place, text in enumerate(texts, start=1):
        if not text.text.strip():
            raise BadText(f"text {place} of {len(texts)} is empty: give it some words or leave it out")
        given = {"text": (text.text,), "label": (text.label or "",), "words": text.words or ()}
        for field, values in given.items():
            for wrong in filter(None, map(half_character, values)):
                raise BadText(f"text {place} of {len(texts)}: field {field!r} {wrong}")
