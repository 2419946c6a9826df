"""JSON documents that compare the top neurons of two attributions of one dense model."""

from dataclasses import dataclass

from prunescope.server.attributions.documents import AttributionSummary, NeuronRow, VariantSummary
from prunescope.server.site.documents import Document, Link, Page
from prunescope.store.attributions.comparison import Correlation, LayerOverlap, Overlap


class Setting(Document):
    """One setting, with its value in both attributions as text."""

    name: str
    first: str
    second: str
    differs: bool


class TopComparison(Document):
    """The overlap of the ``top`` neurons of all layers, under the two null hypotheses of `OverAll`."""

    top: str  # "50", "5%"
    anywhere: Overlap
    in_layers: Overlap


@dataclass(frozen=True)
class LayerComparison(LayerOverlap):
    """The overlap of one layer's top neurons, and the addresses of the layer's page in both attributions."""

    first_href: str
    second_href: str


class SharedNeuron(Document):
    """A neuron that is a top neuron of its layer in both attributions."""

    layer: int
    neuron: int
    name: str
    first: NeuronRow
    second: NeuronRow


class ComparisonDocument(Document):
    """The overlap of two attributions' top neurons; ``top`` in the query is their number, or share, in each layer."""

    first: AttributionSummary
    second: AttributionSummary
    settings: list[Setting]
    texts_in_both: int
    words_in_both: list[str]
    layers: list[int]  # recorded by both
    population: int  # number of neurons ranked by both
    top: str
    tops: list[str]  # values offered for ``top``
    over_all: list[TopComparison]
    correlation: Correlation | None
    layer_list: list[LayerComparison]
    together: Overlap  # the layers' top neurons, over all layers
    shared_neurons: list[SharedNeuron]  # best first, at most 500
    href: str
    turned_href: str  # the same comparison with first and second exchanged


class ComparableAttribution(AttributionSummary):
    """Another attribution of the same dense model; ``differs`` has the names of the settings that differ."""

    differs: list[str]
    comparison_href: str


class ComparableAttributions(Page[ComparableAttribution]):
    """The attributions that an attribution can be compared with, newest first, at most 50."""

    attribution: Link
    dense: Link
    model: str  # the dense model's reference


class CoactiveNeuron(NeuronRow):
    """A neuron of the same layer with its correlation (Pearson's) over the counted tokens, in the dense model."""

    correlation: float
    beside_href: str  # both side by side


class NeuronBeside(Document):
    """One of two neurons, with its activations at the tokens of one text, by variant."""

    name: str
    href: str
    attribution: Link
    variant: VariantSummary
    score: float | None
    rank: int | None
    word: str | None
    drop: float | None
    example: int
    tokens: list[str]
    influential: list[bool]
    dimmed: list[bool]  # special tokens and attention sinks
    dense: list[float]
    pruned: list[float]


class NeuronPair(Document):
    """A neuron, the neurons of its layer whose activations correlate most with its own, and another neuron beside
    it. ``correlation`` is that of the two; None without another one, in another attribution, or if either is constant.
    ``tokens`` is the number of counted tokens."""

    first: NeuronBeside
    second: NeuronBeside | None
    correlation: float | None
    tokens: int
    coactive: list[CoactiveNeuron]
    not_measured: str | None  # why there are no correlations
    href: str
