"""One neuron: the paper's Figure 1 and what stands beside it."""

from prunescope.server.site.documents import Document
from prunescope.store.attributions.tables import Interval, MaskedFraction, Spread


class Example(Document):
    """One text as the model read it; lists are per token."""

    index: int
    label: str | None
    text: str
    tokens: list[str]
    token_ids: list[int]
    influential: list[bool]
    special: list[bool]
    words: list["WordPlace"]


class WordPlace(Document):
    word: str
    positions: list[int]


class Variant(Document):
    """One model of the comparison; ``activations[example][position]``, signed and raw."""

    name: str
    model: str
    label: str
    href: str
    activations: list[list[float]]


class NeuronWord(Document):
    """An influential word at this neuron: mean activation over its tokens, per variant, and what was lost."""

    word: str
    values: dict[str, float | None]
    drop: dict[str, float | None]


class Controls(Document):
    """Is it special: this neuron's drop on its own word, beside the drops of groups of neurons with 95 % intervals.

    The groups belong to the attribution: its top neurons, random ones of the same layers, others of like activation.
    """

    drop: float | None
    interval: tuple[float, float] | None = None  # of this drop
    matched: Interval
    like_activation: Interval
    random: Interval


class Neighbour(Document):
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
    # What the page shows beside the figure.
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
    controls: dict[str, Controls]
    neighbours: Neighbours
    heatmaps: dict[str, str]  # "csv", "svg", "png", "html": addresses
    provenance: str  # one line: models, method, texts, seeds
