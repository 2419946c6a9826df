"""Context of the page of the neurons of a word or token, with menus of other words and tokens."""

from dataclasses import dataclass

from prunescope.server import urls
from prunescope.server.attributions.documents import ExampleSummary
from prunescope.server.neurons.documents import AnsweringDocument
from prunescope.server.neurons.view import example_picker
from prunescope.server.site.frame import Frame
from prunescope.server.site.parts import Picker, picker
from prunescope.text.pieces import drawn
from prunescope.text.words import fold


@dataclass(frozen=True)
class AnsweringPage:
    """The context of ``neurons/answering.html``."""

    frame: Frame
    document: AnsweringDocument
    place: int  # the example's number, from 1
    layer_picker: Picker
    example_picker: Picker
    word_hrefs: dict[str, str]  # word -> address of the word's neurons
    token_hrefs: list[str]
    token_parts: list[list[str]]  # the tokens' texts, split at newlines
    neuron_query: str  # query of links to the listed neurons
    text_query: str  # query of links to the text's top neurons


def answering_page(document: AnsweringDocument, frame: Frame, here: str) -> AnsweringPage:
    """The context of the page. ``here`` is the path in the browser: the page's, or a share link's."""
    token, layer = document.token, document.layer
    chosen: dict[str, urls.State] = (
        {"word": document.word} if token is None else {"example": document.example, "token": token.position}
    )

    def with_example(example: ExampleSummary) -> str:
        return urls.with_state(here, **_first(document, example), layer=layer)

    layers: dict[int | None, str] = {None: "All layers", **{each: f"Layer {each}" for each in document.layers}}
    return AnsweringPage(
        frame=frame,
        document=document,
        place=next(number for number, each in enumerate(document.examples, 1) if each.index == document.example),
        layer_picker=picker("Layer", layers, layer, lambda each: urls.with_state(here, **chosen, layer=each)),
        example_picker=example_picker(document.examples, document.example, with_example),
        word_hrefs={word: urls.with_state(here, word=word, layer=layer) for word in document.words},
        token_hrefs=[
            urls.with_state(here, example=document.example, token=each.position, layer=layer)
            for each in document.tokens
        ],
        token_parts=[drawn(each.token).split("\n") for each in document.tokens],
        neuron_query="" if token is None else urls.with_state("", **chosen),
        text_query=urls.with_state("", example=document.example),
    )


def _first(document: AnsweringDocument, example: ExampleSummary) -> dict[str, urls.State]:
    """The query that selects an example: with the chosen word, else with its first word, else with its first token."""
    if document.word is not None and fold(document.word) in {fold(word) for word in example.words}:
        return {"word": document.word, "example": example.index}
    if example.words:
        return {"word": example.words[0], "example": example.index}
    return {"example": example.index, "token": 0}
