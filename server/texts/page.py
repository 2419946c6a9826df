"""The page of an attribution's texts, whose words can be marked, with the form for a typed text."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from prunescope.server import urls
from prunescope.server.attributions.own_text import Target, TextPanel, text_panel
from prunescope.server.site.frame import Frame
from prunescope.server.texts.documents import AttributionTexts, TextWords
from prunescope.text.words import fold

MAX_TEXTS = 20
"""Texts on one page; all of them would be thousands of words to click."""


@dataclass(frozen=True)
class Piece:
    """A word, or what is between words (``id`` is empty). Occurrences of one word share the checkbox at the first."""

    text: str
    id: str
    word: str
    marked: bool
    first: bool


@dataclass(frozen=True)
class ClickableText:
    """A text cut into words and what is between them; ``open``: its words are shown at once."""

    text: TextWords
    pieces: tuple[Piece, ...]
    open: bool


@dataclass(frozen=True)
class WordsForm:
    """The form of texts whose words can be marked; ``hidden`` are its hidden fields."""

    title: str
    note: str
    action: str
    hidden: tuple[tuple[str, str], ...]
    texts: tuple[ClickableText, ...]
    button: str
    wrong: str
    earlier: str | None
    later: str | None


@dataclass(frozen=True)
class TextsPage:
    """The context of ``texts/texts.html``."""

    frame: Frame
    title: str
    lead: str
    own: TextPanel | None
    words: WordsForm


def texts_page(
    document: AttributionTexts,
    frame: Frame,
    target: Target,
    *,
    first: int = 0,
    given: Mapping[str, str] | None = None,
    wrong: str = "",
    wrong_words: str = "",
) -> TextsPage:
    """An attribution's texts from the place ``first`` on, and the form for a typed text; ``wrong`` is the error of that
    form, ``wrong_words`` that of the clicked words."""
    shown = document.texts[first : first + MAX_TEXTS]
    beyond = first + MAX_TEXTS
    return TextsPage(
        frame=frame,
        title="Texts and words",
        lead="Run a text of your own through the same models, or choose the influential words of these texts yourself.",
        own=text_panel(target, document.own, document.others, given=given, wrong=wrong),
        words=WordsForm(
            title="Words of these texts",
            note="Click a word to mark it as influential, or to take the mark away.",
            action=urls.attribution_words(target.attribution, **target.state),
            hidden=tuple(("shown", str(text.index)) for text in shown),
            texts=tuple(_clickable(text, place < 3) for place, text in enumerate(shown)),
            button="Run with these words",
            wrong=wrong_words,
            earlier=_from(target, max(0, first - MAX_TEXTS)) if first > 0 else None,
            later=_from(target, beyond) if beyond < len(document.texts) else None,
        ),
    )


def choosing_page(texts: Sequence[TextWords], frame: Frame, target: Target, wrong: str = "") -> TextsPage:
    """The words of texts that were just typed, to be chosen before the job is submitted."""
    hidden = [("source", "manual")]
    for text in texts:
        hidden += [("one", text.text), ("one-label", text.label or "")]
    return TextsPage(
        frame=frame,
        title="Choose the words",
        lead="Mark the words that decide your text's label: every neuron's Score is computed from them.",
        own=None,
        words=WordsForm(
            title="Your text" if len(texts) == 1 else "Your texts",
            note="Click a word to mark it as influential, or to take the mark away.",
            action=urls.attribution_texts(target.attribution, **target.state),
            hidden=tuple(hidden),
            texts=tuple(_clickable(text, True) for text in texts),
            button="Run with these words",
            wrong=wrong,
            earlier=None,
            later=None,
        ),
    )


def _from(target: Target, first: int) -> str:
    return urls.attribution_texts(target.attribution, first=first or None, **target.state)


def _clickable(text: TextWords, is_open: bool) -> ClickableText:
    pieces: list[Piece] = []
    ids: dict[str, str] = {}
    place = 0
    for span in text.spans:
        if span.start > place:
            pieces.append(Piece(text.text[place : span.start], "", "", False, False))
        known = fold(span.word) in ids
        id = ids.setdefault(fold(span.word), f"w{text.index}-{len(ids)}")
        pieces.append(Piece(text.text[span.start : span.end], id, span.word, span.marked, not known))
        place = span.end
    if place < len(text.text):
        pieces.append(Piece(text.text[place:], "", "", False, False))
    return ClickableText(text, tuple(pieces), is_open)
