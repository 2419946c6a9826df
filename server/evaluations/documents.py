"""JSON documents of evaluations and of a task's examples."""

from collections.abc import Sequence
from datetime import datetime

from pydantic import Field

from prunescope.server.site.documents import Document, Link, Page
from prunescope.store.evaluations.values import Interval


class Paired(Document):
    """A pruned model's measurement compared with the dense model's on the same rows or windows."""

    evaluation: Link  # of the dense model
    difference: float  # pruned minus dense: accuracy, or loss in nats per token
    interval: Interval  # 95 % interval of the difference
    p: float  # two-sided


class PairedAccuracy(Paired):
    """The pairing of accuracies: Tango's interval, p-value of McNemar's exact test, and numbers of rows."""

    rows: int
    both_right: int
    newly_wrong: int  # right in the dense model, wrong in the pruned one
    newly_right: int
    both_wrong: int


class TaskAccuracy(Document):
    """The accuracy on one task. ``dense`` and ``difference`` are None unless the dense model was measured on the same
    rows in the same way."""

    task: str
    group: str | None
    accuracy: float
    rows: int
    interval: Interval
    chance: float
    truncated: int = 0  # rows whose prompt exceeded the model's context and lost its beginning
    majority: float | None = None  # of always giving the most frequent answer, None if useless (`telling_majority`)
    version: str | int | float | None = None
    prompt_hash: str | None = None
    dense: float | None = None
    difference: float | None = None
    href: str  # the examples


class SaidLabel(Document):
    """A label of a task with fixed labels, and shares (0 to 1) of rows."""

    label: str
    said: float  # by this model
    right: float  # in which it is right
    dense: float | None  # said by the dense model on the same rows


class LabelPrior(Document):
    """How often a model says each label, and how well it tells them apart (`store/evaluations/labels.py` defines the
    values). Those of the dense model are None unless it was measured on the same rows."""

    shares: list[SaidLabel]
    prior_shift: float  # half the sum of |said - right|
    auc: float
    auc_interval: Interval | None  # 95 %, DeLong's on the logit scale
    adjusted_accuracy: float  # accuracy if each label is said as often as it is right
    dense_prior_shift: float | None = None
    dense_auc: float | None = None
    auc_difference: float | None = None  # pruned minus dense; None without an interval, as are interval and p
    auc_difference_interval: Interval | None = None  # 95 %, bootstrap over the rows, which are the same for both
    auc_p: float | None = None  # two-sided, DeLong's test of two AUCs on the same rows
    dense_adjusted_accuracy: float | None = None
    content_difference: float | None = None  # of the adjusted accuracies
    prior_difference: float | None = None  # the rest of the difference: the shift towards a label
    towards: str | None = None  # the label whose share said rose most
    mostly_prior: bool = False  # a significant shift explains at least half of the difference


class TaskComparison(TaskAccuracy):
    """The accuracy on one task with its pairing and, for a task with fixed labels, its label prior."""

    paired: PairedAccuracy | None
    labels: LabelPrior | None


class PairedPerplexity(Paired):
    """The pairing of losses, whose exp is the ratio of perplexities: Student's paired interval and p-value, and numbers
    of windows."""

    windows: int
    worse: int  # windows with a higher loss of the pruned model
    better: int
    same: int


class TextPerplexity(Document):
    """The perplexity on one held-out text. ``dense`` and ``ratio`` are None unless the dense model read the same
    windows, ``paired`` unless the losses of all windows were kept for both models."""

    text: str  # the name of a data set, or a file
    perplexity: float
    nll: float  # mean loss over ``tokens``, in nats per token
    interval: Interval | None
    tokens: int
    windows: int
    seqlen: int
    bos: bool = False  # whether every window begins with BOS, which ``seqlen`` includes
    source: str
    sha256: str  # of the windows; perplexities with equal checksums are comparable
    dense: float | None = None
    ratio: float | None = None
    dense_href: str | None = None
    paired: PairedPerplexity | None = None


class EvaluationSummary(Document):
    id: str
    model: Link
    label: str
    tasks: Sequence[TaskAccuracy]
    perplexity: list[TextPerplexity]
    created_at: datetime | None = None
    href: str


class EvaluationDocument(EvaluationSummary):
    tasks: Sequence[TaskComparison]
    spec: dict[str, object] | None = None
    dense: Link | None = None  # the evaluation of the dense model in the pairings
    context: int | None = None  # the model's context length in tokens
    explanations: list[Link] = Field(default=[])  # explanations of this model's loss
    explain_href: str | None = None  # the form that explains the loss on the task that lost most; None if none lost
    explain_task: str | None = None  # that task
    job: Link | None = None


class ChoiceScores(Document):
    """One model's answer to a row: the log-likelihood of each choice, and the index of the chosen one."""

    chosen: int
    correct: bool
    scores: list[float]

    @property
    def margin(self) -> float | None:
        """The score of the chosen choice minus the highest other score, in nats; None if there is only one choice."""
        others = self.scores[: self.chosen] + self.scores[self.chosen + 1 :]
        return self.scores[self.chosen] - max(others) if others else None


class TaskExample(Document):
    index: int
    text: str
    choices: list[str]
    answer: int
    this: ChoiceScores
    against: ChoiceScores | None  # the dense model's answer, None if it was not measured
    broken: bool  # right in the dense model, wrong in this one
    mended: bool  # wrong in the dense model, right in this one


class TaskExamples(Page[TaskExample]):
    """The examples of a task: first the broken ones, then the mended ones, each by the sum of both models' margins
    (largest first), then all others."""

    evaluation: Link
    model: Link
    dense: Link | None
    result: TaskComparison
    of_dense: bool  # whether the model is a dense one, so that nothing can be broken
    broken: int | None
    mended: int | None
    attributions: list[Link]  # attributions of this model
    explanations: list[Link]  # explanations of this model's loss on this task
    explain_href: str | None  # the form of a new job that explains it; None of a dense model
    attribute_href: str | None  # the form of a new job, filled in for this model
    attribution_job: dict[str, object] | None  # a job of the first broken rows, to be posted to /api/v1/jobs
    attribution_rows: int  # number of rows of this job
