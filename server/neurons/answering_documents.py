"""Which neurons answer to a word, or to one token."""

from prunescope.server.attributions.documents import AnsweringNeuron, ExampleSummary, NeuronRow, TokenDocument
from prunescope.server.site.documents import Link, Page


class TextNeuron(NeuronRow):
    """A neuron in one text that holds its word: its mean activation on the word there, by variant; without numbers
    where the attribution is of format 1."""

    activations: dict[str, float | None]


class AnsweringDocument(Page[AnsweringNeuron]):
    """The neurons with the largest shares of their activation on a word or a token, and what else can be asked for."""

    attribution: Link
    word: str | None
    example: int  # of the token, or where the word stands first
    token: TokenDocument | None
    layer: int | None  # None: over all layers
    layers: list[int]  # those recorded
    words: list[str]
    examples: list[ExampleSummary]
    tokens: list[TokenDocument]  # of the example
    text_neurons: list[TextNeuron]  # the best by Score whose own word stands in the example
    recorded: bool  # attributions of format 1 hold no such lists
    href: str
