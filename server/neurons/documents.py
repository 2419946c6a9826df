"""JSON documents of one neuron (Figure 1 of arXiv 2503.01542), a layer's heatmap, and the neurons of a word."""

from typing import Any, Literal

from pydantic import Field

from prunescope.server.attributions.documents import Example, ExampleSummary, NeuronRow, VariantSummary
from prunescope.server.explanations.shares import NeuronMargin
from prunescope.server.site.documents import Document, Link, Page
from prunescope.store.attributions.documents import Interval, MaskedFraction, NeuronDetail

LayerSort = Literal["rank", "drop", "margin"]
"""Order of a layer's neurons: by Score, by drop, or by margin share."""


class Variant(VariantSummary):
    """A variant with the neuron's raw (signed) activations."""

    activations: list[list[float]]  # [example][token]
    own: list[list[float]] | None = None  # [example][token]: the part of pruned - dense due to the neuron's own weights
    divergence: list[list[float]] | None = None  # [example][token]: KL(dense || pruned) in nats of the next token


class NeuronControls(Document):
    """A neuron's drop on its own word, and the pooled drops of the attribution's top neurons and of both kinds of
    controls, with 95 % intervals, and the p-value of the top neurons' difference to the activation-matched controls."""

    drop: float | None
    interval: tuple[float, float] | None = None  # of ``drop``
    top: Interval
    activation_matched: Interval
    random: Interval
    p_activation_matched: float | None


class Neighbour(Document):
    """The target of a link from one neuron to another."""

    layer: int
    neuron: int
    name: str
    href: str


class Neighbours(Document):
    previous: Neighbour | None
    next: Neighbour | None
    layer_up: Neighbour | None  # layer + 1
    layer_down: Neighbour | None  # layer - 1
    previous_in_rank: Neighbour | None
    next_in_rank: Neighbour | None


class NeuronDocument(NeuronDetail):
    """One neuron: activations at all tokens of the examples in the dense and the pruned models, and statistics."""

    attribution: str
    examples: list[Example]
    variants: list[Variant]
    label: str  # the attribution's
    href: str
    attribution_href: str
    layer_href: str
    placebo: int  # draws of placebo words, from which p comes; 0: from permutations
    least_p: float | None  # smallest p-value that a fitted tail gives
    significant_together: int | None  # of how many neurons p must be as small as this for any of them to have q < 0.05
    cross_fitted: bool
    format: int  # of the stored attribution; p and q of formats 1 and 2 are not calibrated
    permutations: int
    layers: list[int]  # the recorded ones
    neurons: int  # per layer
    neuron_count: int  # number of ranked neurons
    not_ranked: str | None  # reason why the neuron has no rank, as a sentence
    not_split: list[int] = Field(default=[])  # layers whose changes could not be split into own and upstream parts
    activation: str  # relu, abs or raw: transforms the activations in the Score and in ``words``
    controls: dict[str, NeuronControls]
    # Pruned variant -> the mean over all recorded neurons of the shares in ``masked_fractions``.
    masked_means: dict[str, MaskedFraction] = Field(default={})
    neighbours: Neighbours
    # Pruned variant -> what the neuron carries of its losses, a value for each explained task or text.
    margins: dict[str, list[NeuronMargin]] = Field(default={})
    heatmaps: dict[str, str]  # "csv", "svg", "png", "html", "tex" -> address
    spec: dict[str, Any]  # of the attribution
    provenance: str  # one line: models, method, texts, seeds


class TokenDocument(Document):
    """One token of a text."""

    position: int
    token: str
    token_id: int
    influential: bool
    special: bool
    sink: bool = False  # position 0 or an attention sink, which is in no sum


class HeatRow(Document):
    """One neuron's activations at the tokens of one example, by variant."""

    neuron: NeuronRow
    values: dict[str, list[float]]


class LayerHeatmap(Document):
    """Activations of a layer's neurons at the tokens of one example; differences are pruned minus dense."""

    attribution: Link
    layer: int
    layers: list[int]  # the recorded ones
    example: int
    examples: list[ExampleSummary]
    sort: LayerSort
    orders: list[LayerSort]  # those that can be chosen: by margin share only with an explanation
    tokens: list[TokenDocument]
    variants: list[VariantSummary]
    rows: list[HeatRow]
    largest: float  # largest magnitude of all values
    largest_difference: float
    own: dict[str, float | None] = Field(default={})  # by variant: share of the layer's change by its own weights
    cursor: int  # position of the first row in the layer's ranking
    previous: str | None  # address of the rows before these
    next: str | None
    layer_up: str | None
    layer_down: str | None
    href: str


class AnsweringNeuron(NeuronRow):
    """One of the neurons of a word or token."""

    share: float  # of its summed activation, on the word or token


class TextNeuron(NeuronRow):
    """A neuron whose own word occurs in a text. ``activations`` are its mean activations on the word in this text, by
    variant; empty for an attribution of format 1."""

    activations: dict[str, float | None]

    @property
    def change(self) -> float | None:
        """(pruned - dense) / dense in the first pruned variant; None if dense is not positive."""
        dense, pruned = self.activations.get("dense"), self.activations.get("pruned-1")
        return None if dense is None or pruned is None or dense <= 0 else pruned / dense - 1


class AnsweringDocument(Page[AnsweringNeuron]):
    """The neurons of a word or token, largest share first, with the words and tokens that can be chosen instead."""

    attribution: Link
    word: str | None
    example: int  # the index of the token's example, or of the first one with the word
    token: TokenDocument | None
    layer: int | None  # None: all layers
    layers: list[int]  # the recorded ones
    words: list[str]
    examples: list[ExampleSummary]
    tokens: list[TokenDocument]  # of the example
    text_neurons: list[TextNeuron]  # highest Score first, with their own word in the example
    recorded: bool  # False for format 1, which has no such lists
    href: str
