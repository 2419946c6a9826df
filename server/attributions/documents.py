"""The JSON of attributions: the list, and one attribution with its words, Scores and controls."""

from datetime import datetime
from typing import Literal

from prunescope.server.site.documents import Choice, Document, Link
from prunescope.store.attributions import documents as kept
from prunescope.store.attributions.causal import Effect, LayerShare
from prunescope.store.attributions.documents import Interval, Summary


class VariantSummary(Document):
    """One of the compared models: the dense one, or a pruned one."""

    name: str  # "dense", "pruned-1"
    model: str  # the reference
    label: str  # "wanda · c4 · 0.5"
    href: str


class AttributionSummary(Document):
    """An attribution in a list."""

    id: str
    label: str  # "reviews · demo"
    dense: Link
    variants: list[VariantSummary]  # the pruned ones
    examples: int
    layers: list[int]  # those recorded
    neurons: int  # per layer
    words: list[str]  # the most damaged first, a few
    created_at: datetime | None = None
    href: str
    damaged: str | None = None  # why it cannot be opened; then examples, layers, neurons and words are empty


class NeuronRow(kept.NeuronRow):
    """A neuron in a list; ``drop`` is of the pruned variant that was asked for, the first one otherwise."""

    href: str


class WordRow(kept.WordRow):
    """An influential word, and the pooled drop (95 % interval) of the top neurons whose own word it is."""

    best: NeuronRow | None  # the best ranked of its neurons
    href: str  # the attribution with this word chosen


class WordPlace(Document):
    """An influential word of a text, and the positions of its tokens."""

    word: str
    positions: list[int]


class Example(Document):
    """One text as the model read it, with the prompt around it; lists are per token."""

    index: int
    label: str | None
    text: str
    tokens: list[str]
    token_ids: list[int]
    influential: list[bool]
    special: list[bool]
    words: list[WordPlace]


class ExampleSummary(Document):
    """One text with its influential words."""

    index: int
    label: str | None
    text: str
    model_label: bool = False  # the text had no label: this one is the dense model's own answer
    words: list[str]
    dropped: list[str]  # words the model named that are not in the text
    answer: str | None  # what the model said when it was asked for the words


class ScoreMap(kept.RankMap):
    """Layer x rank: the best neurons of each layer side by side, each list [layer][rank]; ``ranks`` count from 1."""

    hrefs: list[list[str | None]]


class LayerRow(kept.LayerRow):
    """A recorded layer: how many of its neurons are ranked, its best one, and the means over its top neurons."""

    best: NeuronRow | None
    href: str


class ControlsRow(Document):
    """Pooled drops of the top neurons and of their controls in one variant, with 95 % intervals."""

    variant: VariantSummary
    matched: Interval  # the top neurons
    random: Interval  # of the same layers
    like: Interval  # matched by activation
    over_random: Interval  # the differences
    over_like: Interval


class CausalRow(Document):
    """One variant. Ablation: the top neurons of the dense model are held at their mean activation; restoration: those
    of a pruned one have the dense model's weights. Changes are against the same variant as it is."""

    name: str  # "dense", "pruned-1"
    label: str
    intervention: Literal["ablation", "restoration"]
    accuracy: Effect
    probability: Effect  # of the right choice among all of a row's


class CausalDocument(Document):
    """Top neurons against ``draws`` times as many other ranked ones of the same layers, on the same rows of a task."""

    task: str
    rows: int  # without those that the neurons were chosen on
    chance: float
    majority: float
    truncated: int
    neurons: int
    layers: list[LayerShare]
    draws: int
    seed: int
    variants: list[CausalRow]


class AttributionDocument(AttributionSummary):
    """One attribution; ``variant`` in the query chooses which drops are shown, ``word`` and ``layer`` which neurons."""

    spec: dict[str, object]
    summary: Summary
    variant: str | None
    word: str | None
    example_list: list[ExampleSummary]
    influential_words: list[WordRow]  # the most damaged first
    score_map: ScoreMap
    layer_list: list[LayerRow]
    top_neurons: list[NeuronRow]
    damaged_neurons: list[NeuronRow]
    controls: list[ControlsRow]
    causal: CausalDocument | None = None  # where that stage was asked for
    provenance: str  # one line: models, method, texts, seeds
    job: Link | None


class OtherText(Document):
    """An attribution of the same models on other texts, or on the same texts with other words."""

    id: str
    label: str  # the beginning of a typed text, or the name of a task
    note: str  # "1 text · words found by gradient"
    own: bool  # typed, and not rows of a task
    created_at: datetime
    href: str


class OwnTextForm(Document):
    """The choices of the form for a typed text, and what it takes over from the attribution."""

    sources: list[Choice]  # of the influential words
    source: str  # the one that is taken unless another is named
    labels: list[str]  # those of the attribution's texts
    prompt: str  # goes around a typed text
    prompt_note: str | None  # why it is not this attribution's
    settings: str  # one line: what else stays the same
