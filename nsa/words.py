"""Step 1 of NSA: finds the influential words, which decide the task's answer.

There are four word sources: `manual` (given by the user), `cot` (named by the dense model, arXiv 2503.01542 section
3.3), `occlusion` (drop of the label's log-probability when the word is removed) and `gradient` (gradient times input
for the label's log-probability).
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
    """Split named words into those that occur in the text and those that do not, in the order named. Words that differ
    only in spelling variants (`text.words.fold`) are the same word and are returned once."""
    kept: dict[str, str] = {}
    dropped: dict[str, str] = {}
    words = WordIndex(text)
    for word in named:
        (kept if word in words else dropped).setdefault(fold(word), word)
    return tuple(kept.values()), tuple(dropped.values())


def manual_words(text: Text, lm: LanguageModel) -> FoundWords:
    """Return the words that the user gave. Raises BadText for a word that is not in the text."""
    kept, missing = keep_words(text.words or (), text.text)
    if missing:
        start = start_of(text.text)
        raise BadText(f"word {missing[0]!r} is not in the text {start!r}: give words that occur in it as whole words")
    return FoundWords(kept, (), None)


def cot_words(text: Text, lm: LanguageModel) -> FoundWords | None:
    """Return the words that the model names after one worked example; words that are not in the text are dropped.

    The worked example is omitted when the context is too short for it. Returns None when the context is too short even
    without it.
    """
    for example in (True, False):
        whole = answer(lm, words_prompt(text.text, example, text.group))
        if whole is not None:
            kept, dropped = keep_words(parse_answer(whole.text, text.text), text.text)
            return FoundWords(kept, dropped, whole.text, whole.plain_reason)
    return None


def occlusion_words(text: Text, lm: LanguageModel) -> FoundWords | None:
    """Return the words whose removal lowers the label's log-probability most: at most five, each with at least a tenth
    of the largest drop.

    Returns None when text, question and label exceed the context length.
    """
    drops = label_drops(lm, text)
    return None if drops is None else FoundWords(largest(drops), (), None)


def gradient_words(text: Text, lm: LanguageModel) -> FoundWords | None:
    """Return the words with the largest gradient times input: at most five, each with at least a tenth of the largest
    value.

    Returns None when text, question and label exceed the context length.
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
    """Find the influential words of every text. `on_text(done, total)` is a progress callback, called after each text,
    that may raise Cancelled.

    The result is None for a text that exceeds the context length together with the question for its words.

    Raises BadInput for an unknown source, BadText for an empty text, a manual word that is not in its text, or a text
    without a label if the source is `occlusion` or `gradient`.
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
    """Raise BadText when there are no texts, when a text is empty, and for a lone surrogate in a text, its label or its
    words."""
    if not texts:
        raise BadText("no texts were given: an attribution needs at least one")
    for place, text in enumerate(texts, start=1):
        if not text.text.strip():
            raise BadText(f"text {place} of {len(texts)} is empty: give it some words or leave it out")
        given = {"text": (text.text,), "label": (text.label or "",), "words": text.words or ()}
        for field, values in given.items():
            for wrong in filter(None, map(half_character, values)):
                raise BadText(f"text {place} of {len(texts)}: field {field!r} {wrong}")
