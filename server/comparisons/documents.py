"""Two attributions of one model side by side: do the same neurons come out on top?"""

from prunescope.server.attributions.documents import AttributionSummary, NeuronRow
from prunescope.server.site.documents import Document, Link, Page


class Setting(Document):
    """One thing that an attribution was asked for, in words, in both of them."""

    name: str
    first: str
    second: str
    differs: bool


class Overlap(Document):
    """What two choices of neurons have in common: ``first`` and ``second`` of ``population`` were chosen, ``shared``
    are in both. Chance would give ``expected``, in 95 % of cases ``low`` to ``high``, and as many as there are or more
    with the probability ``p`` (exact, one-sided)."""

    first: int
    second: int
    population: int
    shared: int
    expected: float
    low: int
    high: int
    p: float


class OverAll(Document):
    """The best ``top`` of all layers together, against neurons drawn from all layers, and against neurons drawn from
    the same layers as the best of each."""

    top: str  # "50", "5%"
    anywhere: Overlap
    in_layers: Overlap


class Correlation(Document):
    """Spearman's, of the Scores of all neurons that both rank; by chance between -``chance`` and ``chance`` (95 %)."""

    value: float
    chance: float
    neurons: int


class LayerOverlap(Document):
    """The best of one layer; ``q`` is p after Benjamini-Hochberg over the layers."""

    layer: int
    overlap: Overlap
    q: float
    correlation: Correlation | None
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
    """``top`` in the query chooses how many of each layer count as its best: a number or a share."""

    first: AttributionSummary
    second: AttributionSummary
    settings: list[Setting]
    texts_in_both: int
    words_in_both: list[str]
    layers: list[int]  # that both recorded
    population: int  # neurons that both rank
    top: str
    tops: list[str]  # that are worth a look
    over_all: list[OverAll]
    correlation: Correlation | None
    layer_list: list[LayerOverlap]
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
