"""Context of the page of an attribution's texts, whose words can be marked, with the form for an own text."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field

from prunescope.jobs.labels import WORD_SOURCES
from prunescope.server import urls
from prunescope.server.attributions.own_text import Target, TextPanel, text_panel
from prunescope.server.site.frame import Frame
from prunescope.server.texts.documents import AttributionTexts, TextWords
from prunescope.text.words import fold

MAX_TEXTS = 20
"""Number of texts on one page; every word of a text is a checkbox."""


@dataclass(frozen=True)
class Piece:
    """A part of a text: a word, or the characters between two words (``id`` is empty). All occurrences of a word share
    one checkbox, placed at the ``first``."""

    text: str
    id: str = ""
    word: str = ""
    marked: bool = False
    first: bool = False


@dataclass(frozen=True)
class TextsPage:
    """The context of ``texts/texts.html``: an attribution's texts with the form for an own text. If ``own`` is None:
    submitted own texts, whose influential words the user marks before the job is created."""

    frame: Frame
    own: TextPanel | None
    texts: list[tuple[TextWords, list[Piece]]]
    action: str  # address that the form with the marked words is sent to
    wrong: str
    sources: Mapping[str, str] = field(default_factory=lambda: WORD_SOURCES)
    earlier: str | None = None
    later: str | None = None


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
    """The context with `MAX_TEXTS` texts of an attribution, beginning with text number ``first`` (from 0). ``given``
    are the submitted fields of the form for an own text, ``wrong`` is the error message of this form, ``wrong_words``
    the message for the marked words."""

    def starting(first: int) -> str:
        return urls.attribution_texts(target.attribution, first=first or None, **target.state)

    beyond = first + MAX_TEXTS
    return TextsPage(
        frame=frame,
        own=text_panel(target, document.own, document.others, given=given, wrong=wrong),
        texts=[(text, [*_pieces(text)]) for text in document.texts[first:beyond]],
        action=urls.attribution_words(target.attribution, **target.state),
        wrong=wrong_words,
        earlier=starting(max(0, first - MAX_TEXTS)) if first > 0 else None,
        later=starting(beyond) if beyond < len(document.texts) else None,
    )


def choosing_page(texts: Sequence[TextWords], frame: Frame, target: Target, wrong: str = "") -> TextsPage:
    """The context with submitted own texts, whose influential words are to be marked."""
    action = urls.attribution_texts(target.attribution, **target.state)
    return TextsPage(frame, None, [(text, [*_pieces(text)]) for text in texts], action, wrong)


def _pieces(text: TextWords) -> Iterator[Piece]:
    ids: dict[str, str] = {}
    place = 0
    for span in text.spans:
        yield Piece(text.text[place : span.start])
        word = fold(span.word)
        first = word not in ids
        id = ids.setdefault(word, f"w{text.index}-{len(ids)}")
        yield Piece(text.text[span.start : span.end], id, span.word, span.marked, first)
        place = span.end
    yield Piece(text.text[place:])
