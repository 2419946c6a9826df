"""The JSON of neurons: one neuron (the paper's Figure 1), a layer's heatmap, and the neurons that answer to a word."""

from typing import Literal

from prunescope.server.attributions.documents import Example, ExampleSummary, NeuronRow, VariantSummary
from prunescope.server.site.documents import Document, Link, Page
from prunescope.store.attributions.documents import Interval, MaskedFraction, NeuronWord, Spread


class Variant(VariantSummary):
    """One of the compared models with the neuron's activations in it, signed and raw."""

    activations: list[list[float]]  # [example][token]


class NeuronControls(Document):
    """A neuron's drop on its own word beside the pooled drops of groups of neurons, with 95 % intervals.

    The groups belong to the attribution: its top neurons, random ones of the same layers, others of similar activation.
    """

    drop: float | None
    interval: tuple[float, float] | None = None  # of this drop
    matched: Interval
    like_activation: Interval
    random: Interval


class Neighbour(Document):
    """A neuron that a key or button leads to."""

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


class NeuronDocument(Document):
    """The paper's Figure 1 for one neuron: the same texts in the dense and the pruned models, token by token."""

    attribution: str
    layer: int
    neuron: int
    score: float | None
    rank: int | None
    p_value: float | None  # of permutations of the influential tokens: never below 1 / (permutations + 1)
    word: str | None
    masked_fraction: MaskedFraction | None  # of the first pruned variant
    examples: list[Example]
    variants: list[Variant]
    # Beside the figure:
    name: str
    label: str  # the attribution's
    href: str
    attribution_href: str
    layer_href: str
    lift: float | None
    q_value: float | None  # of another test: the normal tail of z, Benjamini-Hochberg over all neurons
    permutations: int
    layers: list[int]  # those recorded
    neurons: int  # per layer
    neuron_count: int  # how many neurons are ranked: "rank 3 of 352,256"
    not_ranked: str | None  # why it has no rank, in one sentence
    activation: str  # what the Score and the words' values are computed from: relu, abs or raw
    words: list[NeuronWord]
    drops: dict[str, float | None]  # on ``word``, per pruned variant
    intervals: dict[str, tuple[float, float] | None]  # 95 %, over the texts
    spread: dict[str, Spread]  # mean, extremes and histogram, per variant
    masked_fractions: dict[str, MaskedFraction]  # per pruned variant
    controls: dict[str, NeuronControls]
    neighbours: Neighbours
    heatmaps: dict[str, str]  # "csv", "svg", "png", "html": addresses
    provenance: str  # one line: models, method, texts, seeds


class TokenDocument(Document):
    """One token of a text."""

    position: int
    token: str
    token_id: int
    influential: bool
    special: bool


class HeatRow(Document):
    """One neuron's activations over the tokens of one example, by variant."""

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


class AnsweringNeuron(NeuronRow):
    """A neuron in the list of those that answer to a word or a token."""

    share: float  # of the sum of its activations: the part on that word or token


class TextNeuron(NeuronRow):
    """A neuron whose own word stands in a text: its mean activation on the word there, by variant; empty for an
    attribution of format 1."""

    activations: dict[str, float | None]

    @property
    def dense(self) -> float | None:
        return self.activations.get("dense")

    @property
    def pruned(self) -> float | None:
        """In the first pruned variant."""
        return self.activations.get("pruned-1")

    @property
    def change(self) -> float | None:
        """From dense to pruned, relative to dense; None where that is not positive."""
        return None if self.dense is None or self.pruned is None or self.dense <= 0 else self.pruned / self.dense - 1


class AnsweringDocument(Page[AnsweringNeuron]):
    """The neurons with the largest shares of their activation on a word or a token, and the words and tokens to choose
    from."""

    attribution: Link
    word: str | None
    example: int  # of the token, or the first one with the word
    token: TokenDocument | None
    layer: int | None  # None: over all layers
    layers: list[int]  # those recorded
    words: list[str]
    examples: list[ExampleSummary]
    tokens: list[TokenDocument]  # of the example
    text_neurons: list[TextNeuron]  # the best by Score whose own word stands in the example
    recorded: bool  # attributions of format 1 hold no such lists
    href: str
