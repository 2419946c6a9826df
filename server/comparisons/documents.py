"""The JSON of two attributions of one model side by side: how many neurons are among the best of both."""

from dataclasses import dataclass

from prunescope.server.attributions.documents import AttributionSummary, NeuronRow
from prunescope.server.site.documents import Document, Link, Page
from prunescope.store.attributions.comparison import Correlation, LayerOverlap, Overlap


class Setting(Document):
    """One setting of both attributions, in words."""

    name: str
    first: str
    second: str
    differs: bool


class TopComparison(Document):
    """The best ``top`` of all layers together, against neurons drawn from all layers, and against neurons drawn from
    the same layers as the best of each."""

    top: str  # "50", "5%"
    anywhere: Overlap
    in_layers: Overlap


@dataclass(frozen=True)
class LayerComparison(LayerOverlap):
    """The best of one layer in both attributions, and the layer's page in each."""

    first_href: str
    second_href: str


class SharedNeuron(Document):
    """A neuron that is among the best of its layer in both."""

    layer: int
    neuron: int
    name: str
    first: NeuronRow
    second: NeuronRow


class ComparisonDocument(Document):
    """The overlap of two attributions' best neurons; ``top`` in the query chooses how many of each layer count as its
    best: a number or a share."""

    first: AttributionSummary
    second: AttributionSummary
    settings: list[Setting]
    texts_in_both: int
    words_in_both: list[str]
    layers: list[int]  # that both recorded
    population: int  # neurons that both rank
    top: str
    tops: list[str]  # sizes to choose from
    over_all: list[TopComparison]
    correlation: Correlation | None
    layer_list: list[LayerComparison]
    together: Overlap  # of all layers' best
    shared_neurons: list[SharedNeuron]  # best first, at most 500
    href: str
    turned_href: str  # the second against the first


class ComparableAttribution(AttributionSummary):
    """Another attribution of the same dense model; ``differs`` names the settings that are not the same."""

    differs: list[str]
    comparison_href: str


class ComparableAttributions(Page[ComparableAttribution]):
    """What an attribution can be compared with, newest first, at most 50."""

    attribution: Link
    dense: Link
    model: str  # the dense model's reference
