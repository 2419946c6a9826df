"""An attribution: its words, its Scores, one layer."""

from datetime import datetime
from typing import Literal

from prunescope.server.attributions.causal_documents import CausalDocument
from prunescope.server.site.documents import Document, Link
from prunescope.store.attributions.tables import Interval, Summary


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
    layers: list[int]  # those recorded
    neurons: int  # per layer
    words: list[str]  # the most damaged first, a few
    created_at: datetime | None = None
    href: str
    damaged: str | None = None  # why it cannot be opened; then examples, layers, neurons and words are empty


class NeuronRow(Document):
    """A neuron in a list: ``word`` is the one it answers to most, ``drop`` what the first pruned variant lost of it."""

    layer: int
    neuron: int
    name: str  # "L15/N2194"
    score: float | None
    rank: int | None  # from 1, over all ranked neurons of the attribution
    word: str | None
    drop: float | None
    lift: float | None
    p_value: float | None  # of permutations
    q_value: float | None  # of the normal tail of z, Benjamini-Hochberg over all neurons: can be below p
    low: float | None = None  # the drop's 95 % interval over the texts
    high: float | None = None
    href: str


class AnsweringNeuron(NeuronRow):
    """A neuron in the list of those that answer to a word or a token."""

    share: float  # of the sum of its activations: how much falls on that word or token


class WordRow(Document):
    """An influential word, and the pooled drop (95 % interval) of the top neurons that answer to it most."""

    word: str
    texts: int
    occurrences: int
    tokens: int
    neurons: int
    activation: float | None
    drop: float | None
    low: float | None
    high: float | None
    best: NeuronRow | None  # the best ranked of its neurons
    href: str  # the attribution with this word chosen


class ExampleSummary(Document):
    index: int
    label: str | None
    text: str
    model_label: bool = False  # the text had no label: this one is the dense model's own answer
    words: list[str]
    dropped: list[str]  # words the model named that are not in the text
    answer: str | None  # what the model said when it was asked for the words


class ScoreMap(Document):
    """Layer x rank: the best neurons of each layer side by side: ``scores[layer][rank]``, None past the last.

    ``layers`` names the rows and ``ranks`` (from 1, within the layer) the columns of all of the others.
    """

    layers: list[int]
    ranks: list[int]
    scores: list[list[float | None]]
    neurons: list[list[int | None]]
    words: list[list[str | None]]
    drops: list[list[float | None]]
    hrefs: list[list[str | None]]


class LayerRow(Document):
    """A recorded layer: how many of its neurons are ranked, its best, and the means over its top neurons."""

    layer: int
    ranked: int
    best: NeuronRow | None
    score: float | None
    drop: float | None
    over_like: Interval | None = None  # by how much its own top neurons fell further than neurons of like activation
    href: str


class ControlsRow(Document):
    """Did the top neurons fall further than others: pooled drops in one variant, with 95 % intervals."""

    variant: VariantSummary
    matched: Interval
    random: Interval  # of the same layers
    like: Interval  # of like activation
    over_random: Interval  # the differences
    over_like: Interval


class AttributionDocument(AttributionSummary):
    """The overview; ``variant`` in the query chooses what drops speak of, ``word`` and ``layer`` the neurons."""

    spec: dict[str, object]
    summary: Summary
    variant: str | None
    word: str | None
    example_list: list[ExampleSummary]
    influential_words: list[WordRow]  # the most damaged first
    score_map: ScoreMap
    layer_list: list[LayerRow]
    top_neurons: list[NeuronRow]
    damaged_neurons: list[NeuronRow]
    controls: list[ControlsRow]
    causal: CausalDocument | None = None  # where that stage was asked for
    provenance: str  # one line: models, method, texts, seeds
    job: Link | None


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
    cursor: int  # the place of the first row in the layer's order
    previous: str | None  # the rows before these
    next: str | None
    layer_up: str | None
    layer_down: str | None
    href: str
