"""The JSON documents of attributions: the list, and one attribution with its words, Scores and controls."""

from collections.abc import Iterable
from datetime import datetime
from typing import Literal, Self

from pydantic import Field

from prunescope.server import urls
from prunescope.server.site.documents import Choice, Document, Link
from prunescope.store.attributions import documents as kept
from prunescope.store.attributions.causal import CausalSetup, CausalVariant


class VariantSummary(Document):
    """One of the models that an attribution compares: the dense model or a pruned one."""

    name: str  # "dense", "pruned-1"
    model: str  # the reference
    label: str  # "wanda · c4 · 0.5"
    href: str

    @classmethod
    def all_of(cls, names: Iterable[str], models: Iterable[str], labels: Iterable[str]) -> list[Self]:
        named = zip(names, models, labels, strict=True)
        return [cls(name=name, model=model, label=label, href=urls.model(model)) for name, model, label in named]


class AttributionSummary(Document):
    """An attribution in a list."""

    id: str
    label: str  # "reviews · demo"
    dense: Link
    variants: list[VariantSummary]  # only the pruned variants
    examples: int = 0  # number of texts
    layers: list[int] = Field(default=[])  # recorded layers
    neurons: int = 0  # number of neurons in one layer
    words: list[str] = Field(default=[])  # a few influential words, largest pooled drop first
    created_at: datetime | None = None
    href: str
    damaged: str | None = None  # why the artefact cannot be read; the fields with defaults then have these


class NeuronRow(kept.NeuronRow):
    """A neuron in a list. ``drop`` and the margin share belong to the requested pruned variant, by default the first
    one."""

    href: str
    margin_share: float | None = None  # None without an explanation of the same models
    margin_rank: int | None = None  # from 1, by margin share over all layers


class WordRow(kept.WordRow):
    """An influential word, and the pooled drop, with its 95 % interval, of the best-ranked neurons that have
    it as own word."""

    best: NeuronRow | None  # the best-ranked neuron with this own word
    href: str  # page of the attribution, filtered by this word


class WordPlace(Document):
    """An influential word in a text, and the positions of its tokens."""

    word: str
    positions: list[int]


class Example(Document):
    """One text with the prompt around it, as tokens of the model. Lists have one value for each token."""

    index: int
    label: str | None
    text: str
    tokens: list[str]
    token_ids: list[int]
    influential: list[bool]
    special: list[bool]
    sinks: list[bool]  # position 0 and attention sinks, which are in no sum; all false if they are counted
    words: list[WordPlace]


class ExampleSummary(Document):
    """One text with its influential words."""

    index: int
    label: str | None
    text: str
    model_label: bool = False  # whether the dense model predicted the label, because the text had none
    words: list[str]
    source: str | None = None  # the source that found the words; None in attributions of earlier versions
    found: list[kept.FoundWord] = Field(default=[])  # the words with their probability or effect
    dropped: list[str]  # words that the model named although they are not in the text
    answer: str | None  # the model's complete answer to the prompt that asks for the influential words
    # pruned variant -> mean KL(dense || pruned) of the next-token predictions over the text's tokens, in nats
    divergence: dict[str, float] = Field(default={})


class ScoreMap(kept.RankMap):
    """The best neurons of each layer, by Score or by margin share. Lists are indexed by layer, then by rank within the
    layer; ranks start at 1."""

    hrefs: list[list[str | None]]
    margins: list[list[float | None]] | None = None  # margin shares; None without an explanation


class LayerRow(kept.LayerRow):
    """A recorded layer: the number of ranked neurons, the best neuron, and means over the layer's top neurons."""

    best: NeuronRow | None
    href: str


class PlaceboBin(Document):
    """A range of differences in a histogram of placebo draws. ``x``, ``width`` and ``height`` are percent of the
    figure."""

    low: float
    high: float
    count: int
    x: float
    width: float
    height: float


class PlaceboDraws(Document):
    """What placebo words give: the drop of their top neurons minus that of activation-matched controls, in ``draws``
    draws. ``middle``: their 2.5 % and 97.5 % quantiles. The histogram's axis is from ``low`` to ``high``; ``place`` is
    the place of the observed difference on it, in percent."""

    draws: int
    mean: float
    middle: tuple[float, float]
    low: float
    high: float
    place: float
    bins: list[PlaceboBin]


class ControlsRow(kept.Controls):
    """Pooled drops of the top neurons and of their controls in one variant, with 95 % intervals over texts, and what
    placebo words give."""

    variant: VariantSummary
    placebo: PlaceboDraws | None = None


class CausalRow(CausalVariant):
    """The effects of one intervention in one variant: ablation (the dense model's top neurons are replaced by their
    mean activation) or restoration (a pruned model's top neurons get the dense weights)."""

    name: str  # "dense", "pruned-1"
    label: str
    intervention: Literal["ablation", "restoration"]


class CausalDocument(CausalSetup):
    """The results of the causal stage: the same rows of a task (without those from which the neurons were selected)
    with interventions on the top neurons, and on ``draws`` random sets of as many ranked neurons of the same layers and
    of similar size."""

    variants: list[CausalRow]


class MarginSource(Link):
    """The explanation from which margin shares are; ``label`` names its task or text."""

    id: str


class AttributionDocument(AttributionSummary):
    """One attribution. In the query, ``variant`` selects the drops; ``word`` and ``layer`` filter the neurons; ``by``
    orders them by Score or by margin share, from the newest explanation of the same models or from ``explanation``."""

    spec: dict[str, object]
    summary: kept.Summary
    variant: str | None
    word: str | None
    by: Literal["score", "margin"] = "score"
    explanation: MarginSource | None = None  # from which the margin shares are
    explanations: list[Choice] = Field(default=[])  # explanations of the dense model and the variant, newest first
    example_list: list[ExampleSummary]
    influential_words: list[WordRow]  # largest pooled drop first
    score_map: ScoreMap
    layer_list: list[LayerRow]
    top_neurons: list[NeuronRow]
    damaged_neurons: list[NeuronRow]
    controls: list[ControlsRow]
    split: kept.VariantSplit | None = None  # the changes of ``variant`` in own and upstream parts
    not_split: list[int] = Field(default=[])  # layers whose changes could not be split
    causal: CausalDocument | None = None  # None if the attribution had no causal stage
    provenance: str  # one line: models, method, texts, seeds
    job: Link | None


class OtherText(Document):
    """An attribution of the same models on other texts, or on the same texts with other words."""

    id: str
    label: str  # the start of an own text, or the name of a task
    note: str  # "1 text · words found by gradient"
    own: bool  # whether the texts are own texts, not rows of a task
    created_at: datetime
    href: str


class OwnTextForm(Document):
    """The own-text form: the options, and the settings that an own text inherits from the attribution."""

    sources: list[Choice]  # sources of the influential words
    source: str  # the default source
    labels: list[str]  # labels of the attribution's texts
    prompt: str  # the prompt around an own text
    prompt_note: str | None  # why the prompt differs from the attribution's; None if it is the same
    settings: str  # one line: the inherited settings
