"""The page of the neurons that answer to a word or a token, with the words and tokens to choose from."""

from dataclasses import dataclass

from prunescope.server import urls
from prunescope.server.attributions.documents import ExampleSummary
from prunescope.server.neurons.documents import AnsweringDocument, TokenDocument
from prunescope.server.neurons.view import example_picker
from prunescope.server.site import formats
from prunescope.server.site.frame import Frame
from prunescope.server.site.parts import Empty, Option, Picker
from prunescope.text.pieces import drawn
from prunescope.text.words import fold


@dataclass(frozen=True)
class TokenLink:
    """A token to choose; ``parts`` is its text between newlines."""

    token: TokenDocument
    parts: list[str]
    href: str | None


@dataclass(frozen=True)
class AnsweringPage:
    """The context of ``neurons/answering.html``; in a shared view nothing leads to other words, tokens or layers."""

    frame: Frame
    document: AnsweringDocument
    title: str
    place: int  # of the example, from 1
    layer_picker: Picker
    example_picker: Picker
    words: list[Option]
    tokens: list[TokenLink]
    neuron_query: str  # what links to the listed neurons end with: the token
    text_query: str  # what links to the text's neurons end with: the example
    empty: Empty


def answering_page(document: AnsweringDocument, frame: Frame, here: str) -> AnsweringPage:
    """The context of the page. ``here`` is its path, or that of the share link it was opened by."""
    token = document.token
    chosen: dict[str, urls.State] = (
        {"word": document.word} if token is None else {"example": document.example, "token": token.position}
    )

    def with_example(example: ExampleSummary) -> str:
        # A text has no neurons of its own: it is shown with the chosen word, else its first word, else its first token.
        return urls.with_state(here, **_first(document, example), layer=document.layer)

    layers = (
        Option("All layers", urls.with_state(here, **chosen), document.layer is None),
        *(
            Option(f"Layer {layer}", urls.with_state(here, **chosen, layer=layer), layer == document.layer)
            for layer in document.layers
        ),
    )
    return AnsweringPage(
        frame=frame,
        document=document,
        title="Which neurons answer to "
        + (f"“{document.word}”" if token is None else f"the token {formats.token_name(token.token)}"),
        place=next(number for number, each in enumerate(document.examples, 1) if each.index == document.example),
        layer_picker=Picker("Layer", next(option.label for option in layers if option.current), layers),
        example_picker=example_picker(document.examples, document.example, with_example),
        words=[
            Option(word, urls.with_state(here, word=word, layer=document.layer), word == document.word)
            for word in document.words
        ],
        tokens=[
            TokenLink(
                each,
                drawn(each.token).split("\n"),
                None
                if frame.shared
                else urls.with_state(here, example=document.example, token=each.position, layer=document.layer),
            )
            for each in document.tokens
        ],
        neuron_query="" if token is None else urls.with_state("", **chosen),
        text_query=urls.with_state("", example=document.example),
        empty=_empty(document),
    )


def _first(document: AnsweringDocument, example: ExampleSummary) -> dict[str, urls.State]:
    if document.word is not None and fold(document.word) in {fold(word) for word in example.words}:
        return {"word": document.word, "example": example.index}
    if example.words:
        return {"word": example.words[0], "example": example.index}
    return {"example": example.index, "token": 0}


def _empty(document: AnsweringDocument) -> Empty:
    if not document.recorded:
        return Empty(
            "Not recorded",
            "This attribution was made before such lists were kept. Run it again to have them.",
        )
    if document.token is not None and document.token.special:
        return Empty("No neuron answers to it", "Special tokens are in no sum here, so no neuron has a share on them.")
    return Empty("No neuron answers to it", "No ranked neuron is active there.")
