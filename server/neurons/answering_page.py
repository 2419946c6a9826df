"""From a word or a token to its neurons: of all that they say, how much they say there."""

from dataclasses import dataclass

from prunescope.server import urls
from prunescope.server.neurons.documents import AnsweringDocument, AnsweringNeuron, TextNeuron, TokenDocument
from prunescope.server.site import formats
from prunescope.server.site.documents import Link
from prunescope.server.site.frame import Frame
from prunescope.server.site.parts import Empty, Option, Picker
from prunescope.text.pieces import drawn
from prunescope.text.words import fold


@dataclass(frozen=True)
class TokenLink:
    css: str
    parts: tuple[str, ...]
    href: str | None
    title: str
    current: bool


@dataclass(frozen=True)
class AnsweringLine:
    name: str
    href: str
    share: str
    percent: int
    score: str
    rank: str
    word: str
    lost: str


@dataclass(frozen=True)
class TextLine:
    name: str
    href: str
    score: str
    word: str
    dense: str
    pruned: str
    lost: str


@dataclass(frozen=True)
class AnsweringPage:
    """The context of ``neurons/answering.html``; in a shared view nothing leads to other words, tokens or layers."""

    frame: Frame
    title: str
    attribution: Link
    layer_picker: Picker
    example_picker: Picker
    words: tuple[Option, ...]
    tokens: tuple[TokenLink, ...]
    lines: tuple[AnsweringLine, ...]
    empty: Empty
    note: str
    of_text: tuple[TextLine, ...]
    of_text_note: str


def answering_page(document: AnsweringDocument, frame: Frame, here: str) -> AnsweringPage:
    """``here`` is the page's own path, or that of the share link that it was opened by."""
    token = document.token
    asked: dict[str, urls.State] = (
        {"word": document.word} if token is None else {"example": document.example, "token": token.position}
    )
    layers = (
        Option("All layers", urls.with_state(here, **asked), document.layer is None),
        *(
            Option(f"Layer {layer}", urls.with_state(here, **asked, layer=layer), layer == document.layer)
            for layer in document.layers
        ),
    )
    examples = tuple(
        Option(
            f"{number} · {example.label or 'no label'}",
            # A text has no neurons of its own: it is shown with the word that was asked for, or its first token of one.
            urls.with_state(here, **_first(document, example.index, example.words), layer=document.layer),
            example.index == document.example,
            example.text[:60],
        )
        for number, example in enumerate(document.examples, 1)
    )
    place = next(number for number, each in enumerate(document.examples, 1) if each.index == document.example)
    return AnsweringPage(
        frame=frame,
        title=f"Which neurons answer to {_named(document)}",
        attribution=document.attribution,
        layer_picker=Picker("Layer", next(option.label for option in layers if option.current), layers),
        example_picker=Picker("Example", f"Example {place} of {len(examples)}", examples),
        words=tuple(
            Option(word, urls.with_state(here, word=word, layer=document.layer), word == document.word)
            for word in document.words
        ),
        tokens=tuple(_token_link(document, each, frame, here) for each in document.tokens),
        lines=tuple(_line(item, document) for item in document.items),
        empty=_empty(document),
        note="of the sum of its activations over all texts, how much falls there; only ranked neurons",
        of_text=tuple(_text_line(item, document.example) for item in document.text_neurons),
        of_text_note=f"the best by Score whose own word stands in example {place}; their mean activation on it there",
    )


def _first(document: AnsweringDocument, example: int, words: list[str]) -> dict[str, urls.State]:
    if document.word is not None and fold(document.word) in {fold(word) for word in words}:
        return {"word": document.word, "example": example}
    return {"word": words[0], "example": example} if words else {"example": example, "token": 0}


def _named(document: AnsweringDocument) -> str:
    if document.token is None:
        return f"“{document.word}”"
    return f"the token {formats.token_name(document.token.token)}"


def _token_link(document: AnsweringDocument, token: TokenDocument, frame: Frame, here: str) -> TokenLink:
    chosen = document.token is not None and document.token.position == token.position
    marks = [mark for mark, on in (("i", token.influential), ("s", token.special), ("c", chosen)) if on]
    address = urls.with_state(here, example=document.example, token=token.position, layer=document.layer)
    return TokenLink(
        css=" ".join(["t h0", *marks]),
        parts=tuple(drawn(token.token).split("\n")),
        href=None if frame.shared else address,
        title=f"token {token.position}, id {token.token_id}",
        current=chosen,
    )


def _line(item: AnsweringNeuron, document: AnsweringDocument) -> AnsweringLine:
    state: dict[str, urls.State] = (
        {} if document.token is None else {"example": document.example, "token": document.token.position}
    )
    return AnsweringLine(
        name=item.name,
        href=urls.with_state(item.href, **state),
        share=formats.percent(item.share, 1),
        percent=round(100 * item.share / document.items[0].share),
        score=formats.decimal(item.score),
        rank=formats.count(item.rank),
        word=item.word or formats.NOTHING,
        lost=formats.lost(item.drop) if item.drop is not None else formats.NOTHING,
    )


def _text_line(item: TextNeuron, example: int) -> TextLine:
    before, after = item.activations.get("dense"), item.activations.get("pruned-1")
    relative = None if before is None or after is None or before <= 0 else after / before - 1
    return TextLine(
        name=item.name,
        href=urls.with_state(item.href, example=example),
        score=formats.decimal(item.score),
        word=item.word or formats.NOTHING,
        dense=formats.activation(before),
        pruned=formats.activation(after),
        lost=formats.change(relative),
    )


def _empty(document: AnsweringDocument) -> Empty:
    if not document.recorded:
        return Empty(
            "Not recorded",
            "This attribution was made before such lists were kept. Run it again to have them.",
        )
    if document.token is not None and document.token.special:
        return Empty("Nobody answers to it", "Special tokens are in no sum here, so no neuron has a share on them.")
    return Empty("Nobody answers to it", "No ranked neuron is active there.")
