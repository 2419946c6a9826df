"""An attribution: its words, its Scores, one layer."""

from datetime import datetime
from typing import Literal

from server.documents.base import Document, Link


class VariantSummary(Document):
    name: str  # "dense", "pruned-1"
    model: str  # the reference
    label: str  # "wanda · c4 · 0.5"
    href: str


class AttributionSummary(Document):
    id: str
    label: str  # "reviews · demo"
    dense: Link
    variants: list[VariantSummary]
    examples: int
    layers: int
    neurons: int
    words: list[str]  # the most damaged first, a few
    created_at: datetime | None = None
    href: str


class NeuronRow(Document):
    """A neuron in a list: ``word`` is the one it answers to most, ``drop`` what the first pruned variant lost of it."""

    layer: int
    neuron: int
    name: str  # "L15/N2194"
    score: float | None
    rank: int | None  # from 1, over all ranked neurons of the attribution
    word: str | None
    drop: float | None
    href: str


class WordRow(Document):
    """An influential word: where it stands, and its strongest neuron's mean activation over it, per variant."""

    word: str
    count: int  # tokens that spell it, over all examples
    examples: list[int]
    neurons: int  # top neurons that answer to it most
    values: dict[str, float | None]  # mean activation over its neurons and tokens, per variant
    drop: dict[str, float | None]  # 1 - pruned / dense, per pruned variant
    neuron: Link | None  # the strongest
    href: str  # the list of its neurons


class ExampleSummary(Document):
    index: int
    label: str | None
    text: str
    words: list[str]
    dropped: list[str]  # words the model named that are not in the text
    answer: str | None  # what the model said when it was asked for the words


class ScoreMap(Document):
    """Layer x rank: the Scores of each layer's best neurons, best first: ``score[layer][rank]``, None past the last."""

    layers: list[int]
    ranks: int
    score: list[list[float | None]]
    neuron: list[list[int | None]]
    href: list[list[str | None]]


class AttributionDocument(AttributionSummary):
    spec: dict[str, object]
    activation: str
    word_source: str | None
    ranked: int  # how many neurons have a Score
    example_list: list[ExampleSummary]
    influential_words: list[WordRow]
    score_map: ScoreMap
    top_neurons: list[NeuronRow]
    damaged_neurons: list[NeuronRow]
    damaged_words: list[WordRow]
    layer_hrefs: list[str]
    job: Link | None = None


class TokenDocument(Document):
    position: int
    token: str
    token_id: int
    influential: bool
    special: bool


class HeatRow(Document):
    """One neuron over the tokens of one example, per variant."""

    neuron: NeuronRow
    values: dict[str, list[float]]


class LayerHeatmap(Document):
    """Neurons x tokens of one layer for one example; the difference is each pruned variant minus dense."""

    attribution: Link
    layer: int
    layers: list[int]  # those recorded
    example: int
    examples: list[ExampleSummary]
    sort: Literal["rank", "drop"]
    tokens: list[TokenDocument]
    variants: list[VariantSummary]
    rows: list[HeatRow]
    largest: float  # the largest magnitude of all values
    largest_difference: float
    layer_up: str | None
    layer_down: str | None
    href: str
