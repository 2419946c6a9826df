"""Step 1 of NSA: finds the influential words, which decide the task's answer.

Word sources:

    manual      given by the user
    cot         named by the dense model in a list that can only contain words of the text (`nsa/constrained.py`)
    cot-free    named by the dense model in a free answer, as in arXiv 2503.01542, section 3.3
    occlusion   drop of the label's log-probability when the word is removed
    gradient    first-order estimate of that drop
    auto        the text's own words if it comes with some, else cot; occlusion for a text to which cot gives none
"""

from collections.abc import Callable, Iterable, Sequence

from prunescope.lm.characters import half_character
from prunescope.lm.errors import BadInput, BadText
from prunescope.lm.loading import LanguageModel
from prunescope.nsa.answering import answer, parse_answer
from prunescope.nsa.constrained import list_items
from prunescope.nsa.gradient import word_gradients
from prunescope.nsa.labels import largest
from prunescope.nsa.occlusion import label_drops
from prunescope.nsa.own_label import with_label
from prunescope.nsa.prompts import words_prompt
from prunescope.nsa.texts import FoundWords, Text, start_of
from prunescope.text.content import is_content
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


def manual_words(text: Text, lm: LanguageModel, content: bool = False) -> FoundWords:
    """Return the words that the user gave, with function words. Raises BadText for a word that is not in the text."""
    kept, missing = keep_words(text.words or (), text.text)
    if missing:
        start = start_of(text.text)
        raise BadText(f"word {missing[0]!r} is not in the text {start!r}: give words that occur in it as whole words")
    return FoundWords(kept, (), None)


def cot_words(text: Text, lm: LanguageModel, content: bool = False) -> FoundWords | None:
    """Return the words that the model lists after one worked example, with their probabilities; the answer can only be
    a list of words of the text.

    The worked example is omitted when the context is too short for it. Returns None when the context is too short even
    without it.
    """
    for example in (True, False):
        found = list_items(lm, words_prompt(text.text, example, text.group), text.text, content)
        if found is not None:
            words = tuple(item.text for item in found.items)
            amounts = tuple(item.probability for item in found.items)
            said = found.text if words else None  # without an allowed item the model was not asked
            return FoundWords(words, (), said, found.plain_reason, source="cot", amounts=amounts)
    return None


def free_cot_words(text: Text, lm: LanguageModel, content: bool = False) -> FoundWords | None:
    """Return the words in the model's free answer after one worked example; words that are not in the text are dropped.

    The worked example is omitted when the context is too short for it. Returns None when the context is too short even
    without it.
    """
    for example in (True, False):
        whole = answer(lm, words_prompt(text.text, example, text.group))
        if whole is not None:
            kept, dropped = keep_words(parse_answer(whole.text, text.text), text.text)
            kept = tuple(word for word in kept if not content or is_content(word))
            return FoundWords(kept, dropped, whole.text, whole.plain_reason, source="cot-free")
    return None


def occlusion_words(text: Text, lm: LanguageModel, content: bool = False) -> FoundWords | None:
    """Return the words whose removal lowers the label's log-probability most (`labels.largest`), with the decrease.

    Returns None when text, question and label exceed the context length.
    """
    return _measured(label_drops, "occlusion", text, lm, content)


def gradient_words(text: Text, lm: LanguageModel, content: bool = False) -> FoundWords | None:
    """Return the words with the largest estimated effect on the label's log-probability (`labels.largest`), with the
    estimate.

    Returns None when text, question and label exceed the context length.
    """
    return _measured(word_gradients, "gradient", text, lm, content)


def _measured(
    effects_of: Callable[[LanguageModel, Text], dict[str, float] | None],
    source: str,
    text: Text,
    lm: LanguageModel,
    content: bool,
) -> FoundWords | None:
    """Return the words with the largest effects. A text without a label gets the model's own answer as label."""
    labelled = with_label(lm, text)
    effects = effects_of(lm, labelled)
    if effects is None:
        return None
    chosen = largest({word: amount for word, amount in effects.items() if not content or is_content(word)})
    own = labelled.label if not text.label else None
    return FoundWords(tuple(chosen), (), None, source=source, amounts=tuple(chosen.values()), label=own)


def auto_words(text: Text, lm: LanguageModel, content: bool = False) -> FoundWords | None:
    """Return the text's own words if it comes with some, else the words of `cot`; if these are none, or the context is
    too short for the question, the words of `occlusion`.

    Without a label and choices, `occlusion` cannot be used; the result is then that of `cot`.
    """
    if text.words:
        return manual_words(text, lm)
    found = cot_words(text, lm, content)
    if (found is not None and found.words) or not (text.label or text.choices):
        return found
    return occlusion_words(text, lm, content) or found


SOURCES: dict[str, Callable[[Text, LanguageModel, bool], FoundWords | None]] = {
    "manual": manual_words,
    "auto": auto_words,
    "cot": cot_words,
    "cot-free": free_cot_words,
    "occlusion": occlusion_words,
    "gradient": gradient_words,
}


def influential_words(
    lm: LanguageModel,
    texts: Sequence[Text],
    source: str,
    *,
    content: bool = False,
    on_text: Callable[[int, FoundWords | None], None] = lambda done, found: None,
) -> list[FoundWords | None]:
    """Find the influential words of every text. `content`: only content words (`text/content.py`), except for words
    that the user gave. `on_text(done, found)` is called after each text with the number of texts so far and the text's
    words, and may raise Cancelled.

    The result is None for a text that exceeds the context length together with the question for its words.

    Raises BadInput for an unknown source, BadText for an empty text, a manual word that is not in its text, or a text
    without a label if the source is `occlusion` or `gradient`.
    """
    if source not in SOURCES:
        raise BadInput(f"words source {source!r} is unknown: choose one of {', '.join(SOURCES)}")
    check_texts(texts)
    found = []
    for done, text in enumerate(texts, start=1):
        found.append(SOURCES[source](text, lm, content))
        on_text(done, found[-1])
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
