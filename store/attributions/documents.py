"""What `AttributionTables` (tables.py) returns; an undefined number is None."""

from pydantic import BaseModel, ConfigDict, Field


class Document(BaseModel):
    """Base class: frozen, and an unknown field is an error."""

    model_config = ConfigDict(frozen=True, extra="forbid", populate_by_name=True, serialize_by_alias=True)


class NeuronRow(Document):
    """One neuron in a list. `score` is Eq. 1 of arXiv 2503.01542; `drop` and its interval are of one pruned variant."""

    layer: int
    neuron: int
    name: str  # "L15/N2194"
    score: float | None
    rank: int | None  # from 1, over all ranked neurons of the attribution
    word: str | None  # the influential word on which its mean activation in the dense model is highest
    drop: float | None  # 1 - pruned / dense of the mean activation on that word
    lift: float | None
    p_value: float | None  # of permutations
    q_value: float | None  # of the normal tail of z, Benjamini-Hochberg over all neurons: can be below p
    low: float | None = None  # the drop's 95 % interval over the texts
    high: float | None = None


class Spread(Document):
    """A neuron's signed activations over the counted tokens of all texts.

    `histogram` counts tokens in 16 equal parts of the range from the dense model's minimum to its maximum.
    """

    mean: float
    minimum: float
    maximum: float
    histogram: list[int]


class MaskedFraction(Document):
    """The share of a neuron's own weights that pruning removed: `in` its gate and up rows, `out` its down column."""

    incoming: float | None = Field(alias="in")
    outgoing: float | None = Field(alias="out")


class NeuronWord(Document):
    """One influential word at one neuron: A_m (the mean activation over the word's tokens) and its drop, by variant."""

    word: str
    values: dict[str, float | None]
    drop: dict[str, float | None]


class NeuronDetail(NeuronRow):
    """One neuron with everything known about it but its activations."""

    masked_fraction: MaskedFraction | None
    masked_fractions: dict[str, MaskedFraction]
    drops: dict[str, float | None]
    intervals: dict[str, tuple[float, float] | None]
    spread: dict[str, Spread]
    words: list[NeuronWord]


class WordRow(Document):
    """One influential word: where it stands, and the pooled drop of the best neurons matched to it."""

    word: str
    texts: int
    occurrences: int
    tokens: int
    neurons: int
    activation: float | None
    drop: float | None
    low: float | None
    high: float | None


class RankMap(Document):
    """The best neurons of every recorded layer, side by side; a layer with fewer ranked neurons ends in None."""

    layers: list[int]
    ranks: list[int]
    scores: list[list[float | None]]
    neurons: list[list[int | None]]
    words: list[list[str | None]]
    drops: list[list[float | None]]


class LayerRow(Document):
    """One recorded layer: how many neurons are ranked, its best, and the means over its top neurons."""

    layer: int
    ranked: int
    best: NeuronRow | None
    score: float | None
    drop: float | None
    over_like: "Interval | None" = None  # by how much its own top neurons fell further than neurons of like activation


class Interval(Document):
    """A pooled drop (or a difference of two) with its 95 % bootstrap interval over `texts` texts (unknown before
    format 2, whose intervals are over the neurons)."""

    value: float | None
    low: float | None
    high: float | None
    neurons: int
    texts: int | None = None


class Controls(Document):
    """Pooled drops of the top neurons (`matched`) and of control neurons: `random` ones of the same layers, and `like`,
    matched by activation; then the differences."""

    matched: Interval
    random: Interval
    like: Interval
    over_random: Interval
    over_like: Interval


class Dropped(Document):
    """A word that the model named and the text `text` does not have."""

    text: int
    word: str


class Answer(Document):
    """The model's whole answer to the influential-words prompt for the text `text`."""

    text: int
    answer: str


class LeftOut(Document):
    """A text that was not used, or that no word stands for, and why; `start` is how it begins."""

    text: int
    reason: str
    start: str = ""


class ModelLabel(Document):
    """The label that the dense model itself gave to a text, by its index, that had none."""

    text: int
    label: str


class Summary(Document):
    """The settings and counts of an attribution, with the texts and words that were left out."""

    activation: str
    source: str
    layers: list[int]
    permutations: int
    floor: float = 0.05  # this quantile of a layer's absolute denominators
    special_tokens: bool = False  # whether they are in the sums
    texts: int
    tokens: int
    counted_tokens: int  # without the special ones
    influential_tokens: int
    neurons: int
    ranked: int
    unranked: int  # the denominator is under its layer's floor
    matched: int  # the top neurons that the controls speak of
    matched_in_layer: int | None = None  # the same for a layer's own controls
    dropped: list[Dropped]
    left_out: list[LeftOut]
    answers: list[Answer]
    model_labels: list[ModelLabel] = Field(default=[])
    without_words: list[LeftOut] = Field(default=[])  # they are read, but have no influential word
    plain_question: str | None = None  # why the dense model was not asked for words in its chat template
