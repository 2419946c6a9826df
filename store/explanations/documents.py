"""The document of an explanation, `explanation.json`: what pruning broke, and through which neurons.

`margin` of a row: log-probability of the right choice minus that of the best wrong one (nats); for a window of text,
minus its mean loss per token. `lost` is the dense margin minus the pruned one. `restored` is the share of the lost
margin, summed over the measured rows, that comes back when dense activations are put into the pruned model. An
undefined number is None.
"""

from collections.abc import Sequence
from typing import Literal

from prunescope.store.attributions.documents import Document

FORMAT = 1
"""Version of the layout of an explanation's files."""

RANKINGS = ("margin", "change", "activation", "score", "drop", "random")
"""Names of the rankings of neurons in `curves`."""


class Source(Document):
    """The rows: a task, or a text whose windows' loss is measured."""

    task: str | None
    perplexity: str | None
    version: str | None = None  # of the task's definition
    prompt_hash: str | None = None
    sha256: str | None = None  # of the windows' tokens


class LeftOutRow(Document):
    """A row that was not used: its index in the task's file or split, and the reason."""

    row: int
    reason: str


class Rows(Document):
    """Numbers of rows. `broken`: right in the dense model and wrong in the pruned one; `mended`: the reverse; `fell`:
    the pruned margin is lower. The rows are dealt to two `halves`, each of which ranks the neurons for the rows of the
    other half, so all rows are both `training` and `held_out`. (`halves` is None in explanations of earlier versions:
    `training` rows ranked the neurons, and the other rows were held out.) `ranked` training rows enter the margin
    share, `measured` held-out rows are those over which `restored` is summed; `held_out_broken` held-out rows are
    broken."""

    rows: int
    broken: int
    mended: int
    fell: int
    halves: tuple[int, int] | None = None
    training: int
    ranked: int
    held_out: int
    held_out_broken: int
    measured: int
    measured_are: Literal["broken", "fell", "all"]
    truncated: int  # rows whose prompt exceeded the context length and was cut at its start
    left_out: list[LeftOutRow]


class Margins(Document):
    """Mean margins over the measured rows, in nats."""

    dense: float
    pruned: float
    lost: float


class Accuracy(Document):
    """Accuracy over the held-out rows: of the dense model, of the pruned one, and of the pruned one with the dense
    activations of all MLP neurons."""

    dense: float
    pruned: float
    patched: float


class Restored(Document):
    """What an intervention restores. `low` and `high` are the ends of the 95 % bootstrap interval over rows; for the
    mean of random draws, the lowest and the highest draw. `right_again` counts broken held-out rows that become right,
    `newly_wrong` held-out rows that the pruned model had right and that become wrong; both are means over random draws,
    and None for windows of text."""

    restored: float
    low: float | None
    high: float | None
    right_again: int | float | None
    newly_wrong: int | float | None


class Point(Restored):
    """One point of a curve: what the best `k` neurons of a ranking restore."""

    k: int


class Whole(Document):
    """What all MLP neurons, all attention heads, and both together restore. None for heads that were not measured."""

    neurons: Restored
    heads: Restored | None
    both: Restored | None


class Accounting(Document):
    """Sums of integrated shares over all neurons, all heads, and both; equal to `restored` of the same set up to the
    error of `steps` steps."""

    steps: int
    neurons: float
    heads: float | None
    both: float | None


class Lost(Document):
    """What the dense model loses with pruned activations: the share of the lost margin by which its margin falls.
    `low` and `high` as in `Restored`."""

    lost: float
    low: float | None
    high: float | None


class LostPoint(Lost):
    """What the dense model loses with the pruned activations of the best `k` neurons of a ranking."""

    k: int


class Reverse(Document):
    """Pruned activations put into the dense model: of all MLP neurons, of the best by margin share, and of random ones
    in the same layers."""

    all: Lost
    margin: list[LostPoint]
    random: list[LostPoint]


class Said(Document):
    """Label -> share of the held-out rows in which it has the highest log-probability."""

    dense: dict[str, float]
    pruned: dict[str, float]
    patched: dict[str, float]


class Auc(Document):
    """Area under the ROC curve of the difference of the labels' log-probabilities, which a constant shift towards one
    label does not change; the mean over all pairs of labels if there are more than two. None if a label never is the
    right one."""

    dense: float | None
    pruned: float | None
    patched: float | None


class Answers(Document):
    """The answers over the held-out rows of a task whose choices are the same in every row. `fallen` is the label
    towards which `prior` shifts are counted: the one that the pruned model says less often than the dense one."""

    labels: list[str]
    fallen: str
    right: dict[str, float]  # label -> share of the held-out rows in which it is the right one
    said: Said
    auc: Auc
    prior: float | None  # sums over all neurons of their prior and content shares
    content: float | None


class NeuronWord(Document):
    """A word of the training rows' texts, and the neuron's mean activation (positive part) over its tokens in the dense
    and the pruned model."""

    word: str
    dense: float
    pruned: float


class NeuronShare(Document):
    """One neuron behind the loss. `share`: its lost-margin share, from the gradient on training rows, in units of the
    lost margin of these rows; `integrated`: from integrated gradients on the measured rows; `prior` and
    `content`: the parts of its share that do and do not shift the answer towards one label (None without fixed labels);
    `change`: sum over tokens of |dense - pruned activation| times the norm of its output weights."""

    layer: int
    neuron: int
    name: str  # "L15/N2194"
    rank: int  # from 1, by the ranking `margin`
    share: float
    integrated: float
    prior: float | None
    content: float | None
    change: float
    words: list[NeuronWord]


class HeadShare(Document):
    """One attention head and its lost-margin share."""

    layer: int
    head: int
    name: str  # "L3/H5"
    share: float
    integrated: float


class LayerShares(Document):
    """Sums of the lost-margin shares of a layer's neurons and of its heads (None without heads)."""

    layer: int
    share: float
    integrated: float
    heads: float | None


class Explanation(Document):
    """The whole document. `labels` are the display names of `dense` and `pruned`; `neurons` are the best by the
    ranking `margin`, and `heads` the best heads. `notes` are complete sentences about what was left out and why."""

    format: int
    dense: str
    pruned: str
    labels: list[str]
    source: Source
    measure: Literal["margin", "loss"]
    ranked_by: Literal["margin", "content"]
    sinks: bool  # whether position 0 and special tokens were counted
    shape: tuple[int, int]  # layers, neurons in each
    rows: Rows
    margins: Margins
    accuracy: Accuracy | None  # None for windows of text
    all: Whole
    accounting: Accounting
    curves: dict[str, list[Point]]  # by the names of RANKINGS; score and drop may be missing
    reverse: Reverse
    answers: Answers | None  # None unless the choices are the same in every row
    neurons: Sequence[NeuronShare]
    heads: list[HeadShare]
    layers: list[LayerShares]
    notes: list[str]
    device: str
    dtype: str  # of the computation
    versions: dict[str, str]  # of the libraries and of the numerics
    seconds: float
