"""JSON documents of corpora: the list, one corpus, and one neuron in it."""

from datetime import datetime

from prunescope.server.site.documents import Document, Link


class CorpusSummary(Document):
    id: str
    label: str
    dataset: str
    models: list[Link]  # the dense model first
    tokens: int  # that were counted
    windows: int
    writes: bool  # whether the tokens that neurons write were computed
    created_at: datetime | None = None
    href: str


class CorpusDocument(CorpusSummary):
    spec: dict[str, object]
    asked: int  # tokens that were asked for
    sampled: int  # tokens from whose activations the quantiles are estimated
    texts: int
    seqlen: int  # maximum tokens of a window
    bos: bool  # whether every window begins with BOS
    sha256: str  # of the windows
    sink_tokens: int | None  # attention sinks beside position 0 that were left out; None if they are counted
    layers: list[int]
    neurons: int  # per layer
    examples: int  # kept for each neuron and sign
    seconds: float
    neuron_href: str  # the page of the first neuron
    job: Link | None = None


class Quantile(Document):
    share: float  # of the tokens with an activation of at most ``value``
    value: float


class ModelActivation(Document):
    model: str  # its label
    activation: float


class CorpusExample(Document):
    """One extreme activation in its context. ``activations``: in an example of the dense model those of all models at
    this token, in an example of a variant only its own."""

    window: int
    text: int  # number of the text in the corpus
    position: int  # of the token in its window
    before: str  # tokens before it
    token: str
    after: str
    activations: list[ModelActivation]


class WrittenToken(Document):
    id: int
    token: str
    logit: float  # change of the token's logit for an activation of 1, in a residual stream of scale 1


class NeuronInModel(Document):
    """One neuron in one model. ``shared_up`` and ``shared_down``: how many of the written tokens are also among the
    dense model's, None for the dense model and without ``writes``."""

    model: Link
    reference: str
    mean: float
    deviation: float
    minimum: float
    maximum: float
    density: float  # share of tokens with a positive activation
    quantiles: list[Quantile]
    highest: list[CorpusExample]
    lowest: list[CorpusExample]
    up: list[WrittenToken]
    down: list[WrittenToken]
    shared_up: int | None
    shared_down: int | None


class CorpusNeuron(Document):
    """One neuron over a corpus, in the dense model (first) and its variants."""

    corpus: Link
    layer: int
    neuron: int
    name: str  # "L15/N2194"
    tokens: int
    sampled: int
    sinks: bool  # whether position 0 and attention sinks are counted
    models: list[NeuronInModel]
    previous_href: str | None
    next_href: str | None
    href: str
