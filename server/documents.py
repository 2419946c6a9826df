"""The documents: what every page shows, and word for word what its sister address under ``/api/v1`` answers.

A document carries finished things: addresses (``href``, a page's path), names as people read them (``label``,
``name``) and numbers that are already computed, so that a template computes nothing. What is not a number (the Score
of a neuron that is not ranked, a drop where the dense activation is zero) is None. Fields named in
docs/architecture.md keep their names and meaning; further fields may be added.
"""

from datetime import datetime
from typing import Generic, Literal, TypeVar

from pydantic import BaseModel, ConfigDict, Field

from jobs.documents import Job, JobKind, JobState

Item = TypeVar("Item")


class Document(BaseModel):
    """Base of all documents: frozen, so that a cached one cannot be changed by who reads it."""

    model_config = ConfigDict(frozen=True)


class Link(Document):
    label: str
    href: str


class Page(Document, Generic[Item]):
    """A list, newest first; ``next`` is the cursor of the items after these, None at the end."""

    items: list[Item]
    next: str | None = None
    next_href: str | None = None


class Interval(Document):
    """A mean with its 95 % interval over ``count`` things."""

    mean: float
    low: float
    high: float
    count: int


# Jobs


class JobDocument(Job):
    """A job, and what a person can do with it."""

    title: str  # "Prune demo · wanda · c4 · 0.5"
    href: str
    events_href: str
    result_href: str | None  # the page of what it made, once it is made
    can_cancel: bool
    can_retry: bool
    parent: Link | None  # the study it belongs to


class JobDetail(JobDocument):
    """One job live: with the lines it logged and, for a study, its cells."""

    log: list[str]
    children: list[JobDocument]


class Choice(Document):
    """One value a form offers."""

    value: str
    label: str
    group: str | None = None
    note: str | None = None


class MethodChoice(Choice):
    needs_calibration: bool
    options: list["OptionField"]


class OptionField(Document):
    """One option of a method: from its model's JSON schema."""

    name: str
    type: str  # "number", "integer", "string", "boolean"
    default: str | float | int | bool | None
    allowed: list[str] | None = None
    note: str | None = None


class JobForm(Document):
    """What a spec may name, for the form and for programs that write specs."""

    kinds: list[JobKind]
    models: list[Choice]
    methods: list[MethodChoice]
    calibration_sets: list[Choice]
    tasks: list[Choice]
    word_sources: list[Choice]
    activations: list[Choice]
    examples: dict[JobKind, dict[str, object]]  # a spec of each kind that can be submitted as it is


# Models


class ModelSummary(Document):
    id: str  # the reference without "pruned:"
    reference: str
    label: str  # "wanda · c4 · 0.5", or the reference of a dense model
    kind: Literal["dense", "pruned"]
    base: Link | None  # the dense model that a pruned one came from
    method: str | None = None
    pattern: str | None = None  # "0.5" or "2:4"
    calibration: str | None = None
    sparsity: float | None = None  # achieved, over all pruned matrices
    created_at: datetime | None = None
    href: str


class MatrixDocument(Document):
    name: str
    rows: int
    columns: int
    sparsity: float
    relative_error: float | None


class LayerDocument(Document):
    layer: int
    sparsity: float  # of the layer's pruned matrices together
    relative_error: float | None  # the largest of its matrices
    matrices: list[MatrixDocument]


class ModelDocument(ModelSummary):
    spec: dict[str, object] | None = None
    versions: dict[str, str] = {}
    layers: list[LayerDocument] = []
    download_href: str | None = None
    job: Link | None = None
    evaluations: list[Link] = []
    attributions: list[Link] = []
    variants: list[Link] = []  # of a dense model: what was pruned from it


# Evaluations


class TaskAccuracy(Document):
    """A task's result; ``dense`` and ``difference`` when the dense model was measured in the same way."""

    task: str
    group: str | None
    accuracy: float
    rows: int
    interval: tuple[float, float]
    chance: float
    majority: float | None = None
    version: str | int | float | None = None
    prompt_hash: str | None = None
    dense: float | None = None
    difference: float | None = None
    href: str  # its examples


class EvaluationSummary(Document):
    id: str
    model: Link
    label: str
    tasks: list[TaskAccuracy]
    created_at: datetime | None = None
    href: str


class EvaluationDocument(EvaluationSummary):
    spec: dict[str, object] | None = None
    dense: Link | None = None  # the evaluation of the dense model that this one is compared with
    job: Link | None = None


class ChoiceScores(Document):
    """What one model answered: the log-likelihood of each choice."""

    chosen: int
    correct: bool
    scores: list[float]


class TaskExample(Document):
    index: int
    text: str
    choices: list[str]
    answer: int
    this: ChoiceScores
    against: ChoiceScores | None  # the dense model's answer, where it was measured
    broken: bool  # right in dense, wrong here
    mended: bool  # wrong in dense, right here


class TaskExamples(Page[TaskExample]):
    """The examples of a task, those that pruning broke first, then those it mended, then the rest."""

    evaluation: Link
    model: Link
    dense: Link | None
    result: TaskAccuracy
    broken: int | None
    mended: int | None
    attributions: list[Link]  # runs that hold this model, to go from here to its neurons
    attribute_href: str | None  # the form, filled in for this model


# Attributions


class VariantSummary(Document):
    name: str  # "dense", "pruned-1"
    model: str  # the reference
    label: str  # "wanda · c4 · 0.5"
    href: str


class AttributionSummary(Document):
    id: str
    label: str  # "reviews · demo"
    dense: Link
    variants: list[VariantSummary]
    examples: int
    layers: int
    neurons: int
    words: list[str]  # the most damaged first, a few
    created_at: datetime | None = None
    href: str


class NeuronRow(Document):
    """A neuron in a list: ``word`` is the one it answers to most, ``drop`` what the first pruned variant lost of it."""

    layer: int
    neuron: int
    name: str  # "L15/N2194"
    score: float | None
    rank: int | None  # from 1, over all ranked neurons of the attribution
    word: str | None
    drop: float | None
    href: str


class WordRow(Document):
    """An influential word: where it stands, and its strongest neuron's mean activation over it, per variant."""

    word: str
    count: int  # tokens that spell it, over all examples
    examples: list[int]
    neurons: int  # top neurons that answer to it most
    values: dict[str, float | None]  # mean activation over its neurons and tokens, per variant
    drop: dict[str, float | None]  # 1 - pruned / dense, per pruned variant
    neuron: Link | None  # the strongest
    href: str  # the list of its neurons


class ExampleSummary(Document):
    index: int
    label: str | None
    text: str
    words: list[str]
    dropped: list[str]  # words the model named that are not in the text
    answer: str | None  # what the model said when it was asked for the words


class ScoreMap(Document):
    """Layer x rank: the Scores of each layer's best neurons, best first: ``score[layer][rank]``, None past the last."""

    layers: list[int]
    ranks: int
    score: list[list[float | None]]
    neuron: list[list[int | None]]
    href: list[list[str | None]]


class AttributionDocument(AttributionSummary):
    spec: dict[str, object]
    activation: str
    word_source: str | None
    ranked: int  # how many neurons have a Score
    example_list: list[ExampleSummary]
    influential_words: list[WordRow]
    score_map: ScoreMap
    top_neurons: list[NeuronRow]
    damaged_neurons: list[NeuronRow]
    damaged_words: list[WordRow]
    layer_hrefs: list[str]
    job: Link | None = None


class TokenDocument(Document):
    position: int
    token: str
    token_id: int
    influential: bool
    special: bool


class HeatRow(Document):
    """One neuron over the tokens of one example, per variant."""

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
    layer_up: str | None
    layer_down: str | None
    href: str


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


# Studies


class StudyCell(Document):
    """A measured cell: the mean over the axes that the table does not show."""

    accuracy: float | None
    dense: float | None
    difference: float | None
    interval: tuple[float, float] | None  # when the cell is one measurement
    at_chance: bool  # its interval, or its value, holds chance
    best: bool  # of its row
    measurements: int
    state: JobState  # succeeded only when all of its measurements did
    href: str | None  # the examples of its measurement


class StudyRow(Document):
    label: str
    group: str | None
    dense: float | None
    chance: float | None
    spread: float | None  # largest minus smallest of the row
    cells: list[StudyCell | None]


class StudyTable(Document):
    rows_axis: str
    columns_axis: str
    columns: list[str]
    rows: list[StudyRow]
    averaged: list[str]  # axes with more than one value that the cells average over
    largest_difference: float


class StudySummary(Document):
    id: str
    title: str
    state: JobState
    cells: int
    done: int
    failed: int
    job: Link
    created_at: datetime | None = None
    href: str


class StudyDocument(StudySummary):
    """A study with one table; ``rows`` and ``columns`` in the query choose its axes, ``tables`` are the usual pairs."""

    spec: dict[str, object]
    axes: dict[str, list[str]]  # "task": ["sst2", ...]
    show: Literal["accuracy", "difference"]
    table: StudyTable
    tables: list[Link]
    attributions: list[Link]
    jobs: list[JobDocument]


# The rest


class Home(Document):
    counts: dict[JobState, int]
    running: list[JobDocument]
    recent: list[JobDocument]
    studies: list[StudySummary]
    attributions: list[AttributionSummary]
    start: list[Link]  # the forms
    events_href: str


class SearchHit(Document):
    kind: Literal["neuron", "word", "model", "job"]
    label: str
    note: str | None
    href: str


class SearchResults(Document):
    query: str
    items: list[SearchHit]
    next: str | None = None


class ShareDocument(Document):
    token: str
    url: str  # absolute, to be sent to somebody else
    path: str
    created_at: datetime


class ErrorPage(Document):
    """What an error page shows: the problem document's fields, for people."""

    status: int
    title: str
    detail: str | None
    errors: list[dict[str, object]] = []
