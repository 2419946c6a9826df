"""The classes that `AttributionTables` (tables.py) returns. An undefined number is None."""

from pydantic import AliasChoices, BaseModel, ConfigDict, Field


class Document(BaseModel):
    """Base class: frozen, without extra fields."""

    model_config = ConfigDict(frozen=True, extra="forbid", populate_by_name=True, serialize_by_alias=True)


class NeuronScore(Document):
    """One neuron with its Score, Eq. 1 of arXiv 2503.01542, and the tests of the Score."""

    layer: int
    neuron: int
    name: str  # "L15/N2194"
    score: float | None
    rank: int | None  # from 1, over all ranked neurons of the attribution
    word: str | None  # own word: the influential word with the highest mean activation in the dense model
    lift: float | None
    p_value: float | None  # from placebo words, else from permutations
    q_value: float | None  # Benjamini-Hochberg of p_value over all neurons; formats 1 and 2: of a normal tail


class NeuronRow(NeuronScore):
    """One neuron in a list. `drop` and its interval belong to one pruned variant."""

    drop: float | None  # 1 - pruned / dense mean activation on the own word
    low: float | None = None  # ends of the drop's 95 % bootstrap interval over texts
    high: float | None = None
    own: float | None = None  # part of the drop that is due to the neuron's own weights
    upstream: float | None = None  # part of the drop that is due to changed inputs


class Spread(Document):
    """Statistics of a neuron's raw (signed) activations over all tokens of all texts, special tokens excepted unless
    they were requested.

    `histogram` has the numbers of tokens in 16 equal bins from the dense model's minimum to its maximum.
    """

    mean: float
    minimum: float
    maximum: float
    histogram: list[int]


class MaskedFraction(Document):
    """The shares of a neuron's weights that pruning removed: `in` of its rows in the gate and up projections, `out` of
    its column in the down projection."""

    incoming: float | None = Field(alias="in")
    outgoing: float | None = Field(alias="out")


class DropParts(Document):
    """The parts of a drop: `own` is due to the neuron's own weights, `upstream` to its changed inputs. They are
    relative to the dense activation and add up to the drop."""

    own: float
    upstream: float


class Writer(Document):
    """A neuron of a lower layer that writes into an input dimension: its output weight for it times its mean activation
    over the influential tokens in the dense model."""

    layer: int
    neuron: int
    name: str
    size: float


class HeadWriter(Document):
    """An attention head, of a lower layer or of the same one, that writes into an input dimension: the sum over the
    head's features of the output weight for it times the feature's mean over the influential tokens in the dense
    model."""

    layer: int
    head: int
    name: str  # "L3/H5"
    size: float


class ChangedWeight(Document):
    """A weight of a neuron that pruning changed: its matrix (`gate` or `up`), its input dimension, and its contribution
    to the neuron's pre-activation: the change of the weight times the variant's mean input over the influential
    tokens."""

    matrix: str
    dimension: int
    contribution: float
    writers: list[Writer | HeadWriter]  # largest magnitude first


class NeuronWord(Document):
    """One neuron on one influential word: variant -> A_m (mean activation over the word's tokens), and pruned variant
    -> drop, and the own part of the change of A_m (pruned - dense), where it was split."""

    word: str
    values: dict[str, float | None]
    drop: dict[str, float | None]
    own: dict[str, float] = Field(default={})


class NeuronDetail(NeuronScore):
    """One neuron with all of its data except the activations. The dictionaries are by variant; `masked_fraction` is
    that of one pruned variant, None without pruned variants."""

    masked_fraction: MaskedFraction | None
    masked_fractions: dict[str, MaskedFraction]
    changed_weights: dict[str, list[ChangedWeight]] = Field(default={})  # largest magnitude of the contribution first
    # Whether attention heads are among the writers; not so if they are unknown, or in attributions of earlier versions.
    head_writers: bool = False
    drop_parts: dict[str, DropParts] = Field(default={})  # of the drop on the own word, where it was split
    drops: dict[str, float | None]
    intervals: dict[str, tuple[float, float] | None]
    spread: dict[str, Spread]
    words: list[NeuronWord]


class WordRow(Document):
    """One influential word: the numbers of its texts, occurrences and tokens, and the pooled drop, with its 95 %
    interval, of the best-ranked neurons with this own word. `neurons` is the number of these neurons, `activation` the
    mean of their A_m in the dense model."""

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
    """The best neurons of every recorded layer. Each list has one row for each of `layers` and one value for each of
    `ranks` (ranks within the layer); missing values of a layer with fewer ranked neurons are None."""

    layers: list[int]
    ranks: list[int]
    scores: list[list[float | None]]
    neurons: list[list[int | None]]
    words: list[list[str | None]]
    drops: list[list[float | None]]


class Interval(Document):
    """A pooled drop of `neurons` neurons, or the difference of two, with its 95 % bootstrap interval over `texts`
    texts. `texts` is None in format 1, which resamples neurons instead."""

    value: float | None
    low: float | None
    high: float | None
    neurons: int
    texts: int | None = None


class LayerRow(Document):
    """One recorded layer: the number of ranked neurons, the best neuron, and the mean Score and drop of its best
    neurons."""

    layer: int
    ranked: int
    best: NeuronRow | None
    score: float | None
    drop: float | None
    own: float | None = None  # share of the change of all neurons that their own weights explain
    # Drop of the layer's top neurons minus that of the activation-matched controls, and its p-value.
    over_activation_matched: Interval | None = None
    p_activation_matched: float | None = None


class TopParts(Document):
    """The pooled drop of the `neurons` top neurons on their own words, and its two parts."""

    neurons: int
    drop: float
    own: float
    upstream: float


class LayerOwn(Document):
    """The share of the change of a layer's neurons that their own weights explain; None without any change."""

    layer: int
    own: float | None


class VariantSplit(Document):
    """The split of one pruned variant's changes into own and upstream parts. `top` is None if no top neuron has a
    drop."""

    top: TopParts | None
    layers: list[LayerOwn]


class Controls(Document):
    """Pooled drops of the top neurons, of control neurons of the same layers matched by activation, and of random ones;
    the differences `top` - `activation_matched` and `top` - `random`; and the differences' p-values from placebo words,
    None without them.

    Formats 1 and 2 call `top` `matched` and `activation_matched` `like`; their neurons were chosen and measured on the
    same texts.
    """

    top: Interval = Field(validation_alias=AliasChoices("top", "matched"))
    activation_matched: Interval = Field(validation_alias=AliasChoices("activation_matched", "like"))
    random: Interval
    over_activation_matched: Interval = Field(validation_alias=AliasChoices("over_activation_matched", "over_like"))
    over_random: Interval
    p_activation_matched: float | None = None
    p_random: float | None = None


class Dropped(Document):
    """A word that the dense model named as influential although it does not occur in the text. `text` is the text's
    index."""

    text: int
    word: str


class Answer(Document):
    """The dense model's complete answer to the prompt that asks for the influential words of a text. `text` is the
    text's index."""

    text: int
    answer: str


class LeftOut(Document):
    """A text that was skipped, or that has no influential words, with the reason. `text` is the text's index, `start`
    its first characters."""

    text: int
    reason: str
    start: str = ""


class ModelLabel(Document):
    """The label that the dense model predicted for a text without a label. `text` is the text's index."""

    text: int
    label: str


class FoundWord(Document):
    """An influential word of one text. `probability`: that of the word in the dense model's list, if its source is
    `cot`. `effect`: the decrease of the label's log-probability in nats, if its source is `occlusion` or
    `gradient`."""

    word: str
    probability: float | None = None
    effect: float | None = None


class Found(Document):
    """The influential words of one text, in the order of the source, and the source that found them. `text` is the
    text's index."""

    text: int
    source: str
    words: list[FoundWord]


class Summary(Document):
    """The settings and counts of an attribution, with the skipped texts and words."""

    activation: str
    source: str
    content: bool = False  # whether only content words were used
    layers: list[int]
    placebo: int = 0  # draws of placebo words, from which all p-values come; without them, from permutations
    least_p: float | None = None  # smallest p-value that a fitted tail gives; None if it was not stored
    cross_fitted: bool = False  # whether drops of the top neurons were measured on texts that did not choose them
    permutations: int
    floor: float = 0.05  # quantile of a layer's absolute denominators below which a neuron is not ranked
    special_tokens: bool = False  # whether the Score's sums include special tokens
    sinks: bool = True  # whether they include position 0 of every text and attention sinks, as in formats 1 and 2
    sink_tokens: int = 0  # tokens that are left out as position 0 or sinks
    texts: int
    tokens: int
    counted_tokens: int  # tokens in the Score's sums
    influential_tokens: int
    neurons: int
    ranked: int
    unranked: int  # neurons whose denominator is below the floor of their layer
    matched: int  # top neurons that are compared with controls
    matched_in_layer: int | None = None  # top neurons of a layer that are compared with controls
    dropped: list[Dropped]
    left_out: list[LeftOut]
    answers: list[Answer]
    model_labels: list[ModelLabel] = Field(default=[])
    found: list[Found] = Field(default=[])  # empty for attributions of earlier versions
    without_words: list[LeftOut] = Field(default=[])  # texts that are used although they have no influential word
    plain_question: str | None = None  # why the prompt for influential words did not use the model's chat template
