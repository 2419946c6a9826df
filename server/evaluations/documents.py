"""Documents of evaluations and of a task's examples."""

from collections.abc import Sequence
from datetime import datetime

from prunescope.server.site.documents import Document, Link, Page


class PairedAccuracy(Document):
    """A pruned model compared with its dense model on the same rows of a task."""

    evaluation: Link  # the dense model's
    rows: int
    both_right: int
    newly_wrong: int  # right in dense, wrong here
    newly_right: int
    both_wrong: int
    difference: float
    interval: tuple[float, float]  # of the difference, 95 %, Tango's
    p: float  # McNemar's, exact and two-sided


class TaskAccuracy(Document):
    """A task's result; ``dense`` and ``difference`` when the dense model was measured on the same rows in the same
    way."""

    task: str
    group: str | None
    accuracy: float
    rows: int
    interval: tuple[float, float]
    chance: float
    truncated: int = 0  # rows whose prompt was longer than the model's context and lost its beginning
    majority: float | None = (
        None  # of always giving the most frequent answer; None where the right one always stands alike
    )
    version: str | int | float | None = None
    prompt_hash: str | None = None
    dense: float | None = None
    difference: float | None = None
    href: str  # its examples


class TaskComparison(TaskAccuracy):
    """A task's result with the paired comparison to the dense model."""

    paired: PairedAccuracy | None


class PairedPerplexity(Document):
    """A pruned model compared with its dense model on the same windows of a text. Losses are in nats a token; the
    exponential of their difference is the ratio of the perplexities."""

    evaluation: Link  # the dense model's
    windows: int
    worse: int  # windows that the pruned model predicts worse
    better: int
    same: int
    difference: float  # of the losses
    interval: tuple[float, float]  # of the difference, 95 %, Student's, paired over the windows
    p: float  # of the same test


class TextPerplexity(Document):
    """Perplexity on held-out text; ``dense`` and ``ratio`` (to it) when the dense model read the very same windows, and
    ``paired`` when every window's loss of both was kept."""

    text: str  # a named set, or a file
    perplexity: float
    nll: float  # nats a token, the mean over ``tokens``
    interval: tuple[float, float] | None
    tokens: int
    windows: int
    seqlen: int
    bos: bool = False  # whether every window begins with BOS, one of its tokens
    source: str
    sha256: str  # of the windows: equal ones can be compared
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
    dense: Link | None = None  # the evaluation of the dense model that this one is compared with
    context: int | None = None  # tokens that the model reads at most
    job: Link | None = None


class ChoiceScores(Document):
    """One model's answer: the log-likelihood of each choice, and the one that it chose."""

    chosen: int
    correct: bool
    scores: list[float]

    @property
    def margin(self) -> float | None:
        """How far the chosen one lies above the next one, in nats; None where there is no other."""
        others = self.scores[: self.chosen] + self.scores[self.chosen + 1 :]
        return self.scores[self.chosen] - max(others) if others else None


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
    """The examples of a task: those that pruning broke, then those it mended, the most confident first; then the rest.

    Confident is where the margins of the two choices over the next ones add up to much (nats)."""

    evaluation: Link
    model: Link
    dense: Link | None
    result: TaskComparison
    of_dense: bool  # the model is a dense one: there is nothing that it would be compared with
    broken: int | None
    mended: int | None
    attributions: list[Link]  # runs that hold this model, to go from here to its neurons
    attribute_href: str | None  # the form, filled in for this model
    attribution_job: dict[str, object] | None  # a job of the first rows that broke: POST it to /api/v1/jobs
    attribution_rows: int  # how many rows that job takes
