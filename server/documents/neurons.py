"""One neuron: the paper's Figure 1 and what stands beside it."""

from pydantic import ConfigDict, Field

from server.documents.base import Document, Interval


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


class MaskedFraction(Document):
    """The share of the neuron's own weights that pruning removed: its gate and up rows, its down column."""

    model_config = ConfigDict(frozen=True, populate_by_name=True, serialize_by_alias=True)

    into: float | None = Field(alias="in")  # `in` is a word of the language; in JSON it is "in"
    out: float | None


class NeuronWord(Document):
    """An influential word at this neuron: mean activation over its tokens, per variant, and what was lost."""

    word: str
    values: dict[str, float]
    drop: dict[str, float | None]


class Controls(Document):
    """Is it special: the neuron's own drop beside two groups of others, with 95 % intervals."""

    drop: float | None
    like_activation: Interval | None
    random: Interval | None


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
    p_value: float | None
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
    q_value: float | None
    layers: int
    neurons: int  # per layer
    neuron_count: int  # how many neurons are ranked: "rank 3 of 352,256"
    not_ranked: str | None  # why it has no rank, in one sentence
    activation: str
    words: list[NeuronWord]
    masked_fractions: dict[str, MaskedFraction]
    controls: dict[str, Controls]
    neighbours: Neighbours
    heatmaps: dict[str, str]  # "csv", "svg", "png", "html": addresses
    provenance: str  # one line: models, method, texts, seeds
