"""Texts of one's own beside an attribution, and its own texts word by word: what can be clicked, typed and sent."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from prunescope.server import urls
from prunescope.server.site import formats
from prunescope.server.site.frame import Frame
from prunescope.server.texts.documents import AttributionTexts, OtherText, OwnTextForm, TextWords
from prunescope.server.texts.specs import then_href
from prunescope.text.words import fold

MAX_TEXTS = 20
"""Texts on one page; all of them would be thousands of words to click."""
LONGEST_TEXT = 200_000
"""As a spec has it."""


@dataclass(frozen=True)
class SourceOption:
    value: str
    label: str
    chosen: bool


@dataclass(frozen=True)
class OtherLine:
    label: str
    href: str
    note: str
    at: str
    ago: str


@dataclass(frozen=True)
class TextPanel:
    """The box for a text of one's own, with what was typed and what is wrong with it."""

    action: str
    words_href: str  # to the words of the attribution's own texts
    sources: tuple[SourceOption, ...]
    labels: tuple[str, ...]
    longest: int
    note: str
    others: tuple[OtherLine, ...]
    text: str
    label: str
    wrong: str


@dataclass(frozen=True)
class Piece:
    """What is between words (``id`` is empty), or a word; one that stands several times has one box, at its first."""

    text: str
    id: str
    word: str
    marked: bool
    first: bool


@dataclass(frozen=True)
class ClickableText:
    index: int
    name: str
    title: str
    count: str
    pieces: tuple[Piece, ...]
    covered: tuple[str, ...]
    open: bool


@dataclass(frozen=True)
class WordsForm:
    """Texts whose words can be clicked; ``hidden`` goes along with them."""

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


def text_panel(
    attribution: str,
    form: OwnTextForm,
    others: Sequence[OtherText] = (),
    *,
    neuron: str | None = None,
    variant: str | None = None,
    given: Mapping[str, str] | None = None,
    wrong: str = "",
) -> TextPanel:
    """``neuron`` and ``variant`` are what to go on with; ``given`` is what was typed before (text, label, source)."""
    typed = given or {}
    source = typed.get("source") or form.source
    href = urls.attribution_texts(attribution, neuron=neuron, variant=variant)
    return TextPanel(
        action=href,
        words_href=f"{href}#words",
        sources=tuple(SourceOption(each.value, each.label, each.value == source) for each in form.sources),
        labels=tuple(form.labels),
        longest=LONGEST_TEXT,
        note=". ".join(part for part in (form.settings, form.prompt_note) if part),
        others=tuple(_other(each, neuron, variant) for each in others),
        text=typed.get("text", ""),
        label=typed.get("label", ""),
        wrong=wrong,
    )


def texts_page(
    document: AttributionTexts,
    frame: Frame,
    attribution: str,
    *,
    first: int = 0,
    neuron: str | None = None,
    variant: str | None = None,
    given: Mapping[str, str] | None = None,
    wrong: str = "",
    wrong_words: str = "",
) -> TextsPage:
    """An attribution's texts from the place ``first`` on, and the box for others; ``wrong`` is what is said of the box,
    ``wrong_words`` of the clicked words."""
    state = {"neuron": neuron, "variant": variant}
    shown = document.texts[first : first + MAX_TEXTS]
    beyond = first + MAX_TEXTS
    return TextsPage(
        frame=frame,
        title="Texts and words",
        lead="Run a text of your own through the same models, or choose the influential words of these texts yourself.",
        own=text_panel(attribution, document.own, document.others, **state, given=given, wrong=wrong),
        words=WordsForm(
            title="Words of these texts",
            note="Click a word to mark it as influential, or to take the mark away.",
            action=urls.attribution_words(attribution, **state),
            hidden=tuple(("shown", str(text.index)) for text in shown),
            texts=tuple(_clickable(text, place < 3) for place, text in enumerate(shown)),
            button="Run with these words",
            wrong=wrong_words,
            earlier=_from(attribution, max(0, first - MAX_TEXTS), state) if first > 0 else None,
            later=_from(attribution, beyond, state) if beyond < len(document.texts) else None,
        ),
    )


def choosing_page(
    texts: Sequence[TextWords],
    frame: Frame,
    attribution: str,
    *,
    neuron: str | None = None,
    variant: str | None = None,
    wrong: str = "",
) -> TextsPage:
    """The words of texts that were just typed."""
    hidden = [("source", "manual")]
    for text in texts:
        hidden += [("one", text.text), ("one-label", text.label or "")]
    return TextsPage(
        frame=frame,
        title="Choose the words",
        lead="Which words of your text decide it? They are what every neuron's Score is about.",
        own=None,
        words=WordsForm(
            title="Your text" if len(texts) == 1 else "Your texts",
            note="Click a word to mark it as influential, or to take the mark away.",
            action=urls.attribution_texts(attribution, neuron=neuron, variant=variant),
            hidden=tuple(hidden),
            texts=tuple(_clickable(text, True) for text in texts),
            button="Run with these words",
            wrong=wrong,
            earlier=None,
            later=None,
        ),
    )


def _from(attribution: str, first: int, state: Mapping[str, str | None]) -> str:
    return urls.attribution_texts(attribution, first=first or None, **state)


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
    return ClickableText(
        index=text.index,
        name=f"word.{text.index}",
        title=f"{text.index + 1} · {text.label}" if text.label else str(text.index + 1),
        count=formats.plural(len(text.words), "word"),
        pieces=tuple(pieces),
        covered=tuple(text.covered),
        open=is_open,
    )


def _other(other: OtherText, neuron: str | None, variant: str | None) -> OtherLine:
    href = then_href(other.id, neuron, variant)  # the same neuron there: it is the same model's
    return OtherLine(other.label, href, other.note, formats.timestamp(other.created_at), formats.ago(other.created_at))
