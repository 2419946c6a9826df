"""A study and its tables."""

from datetime import datetime
from typing import Literal

from pydantic import ConfigDict

from prunescope.jobs.documents import JobState
from prunescope.server.jobs.documents import JobItem
from prunescope.server.site.documents import Document, Link, Page
from prunescope.store.evaluations.values import Interval, Measure, perplexity

Show = Literal["accuracy", "perplexity", "difference"]
ChartName = Literal["sparsity", "seqlen", "method", "group"]


class CellDocument(Document):
    """One cell of a table: a measurement, or the mean of several over the axes that are not shown.

    Accuracies are shares (0 to 1), and ``difference`` is accuracy minus the dense model's. Intervals are 95 % ones.
    They, rows and changed rows are given of one measurement, and of a mean whose measurements share no rows, which are
    those on different tasks.

    In a table of perplexities ``perplexity``, ``interval`` and ``dense`` are such, a mean is the geometric one, and
    ``difference`` is the one of losses in nats a token: the logarithm of ``ratio``. Its p is Student's, paired over the
    windows of the text; ``rows`` are predicted tokens, ``newly_wrong`` windows that are predicted worse than by the
    dense model, ``newly_right`` those that are predicted better.
    """

    accuracy: float | None
    perplexity: float | None = None
    interval: Interval | None
    dense: float | None
    difference: float | None
    ratio: float | None = None  # perplexity over the dense model's
    difference_interval: Interval | None  # paired: from the rows that both models were measured on
    p: float | None  # McNemar's, exact and two-sided; of a single measurement
    q: float | None  # the same after Benjamini-Hochberg over all measurements of the table
    survives: bool  # q is at most 0.05
    survivors: int  # of how many of the measurements it is
    rows: int | None
    newly_wrong: int | None  # right in dense, wrong here
    newly_right: int | None
    chance: float | None
    majority: float | None  # of always giving the answer that is most often right
    at_chance: bool  # its interval holds chance; of a mean without one: that of each of its measurements does
    best: bool  # of its row, among the cells whose measurements are all there
    measurements: int  # how many it is the mean of
    done: int  # how many of them are there
    failed: int  # how many of them failed or were cancelled
    state: JobState  # succeeded only when all of its measurements did
    job: str | None  # its evaluation's job, where it is a single measurement
    evaluation: str | None
    href: str | None  # its examples, or its job's page while there are none
    model_href: str | None = None  # the pruned model, when all of it was measured on one that is there
    published: float | None = None  # what the paper prints at this place, in the table that was asked for

    @property
    def value(self) -> float | None:
        """The accuracy or the perplexity, whichever the table is of."""
        return self.accuracy if self.perplexity is None else self.perplexity

    @property
    def partial(self) -> bool:
        """Some of its measurements are there, others are not."""
        return self.value is not None and self.done < self.measurements

    @property
    def change(self) -> float | None:
        """What the dense model is compared by: the difference of accuracies, the ratio of perplexities."""
        return self.difference if self.ratio is None else self.ratio

    @property
    def change_interval(self) -> Interval | None:
        """The interval of ``change``."""
        if self.ratio is None or self.difference_interval is None:
            return self.difference_interval
        low, high = self.difference_interval
        return perplexity(low), perplexity(high)

    @property
    def gain(self) -> float | None:
        """What the colour stands for, positive where the cell is better than dense."""
        return -self.difference if self.difference is not None and self.ratio is not None else self.difference


class LabelDocument(Document):
    """One place on an axis."""

    value: str  # as the address takes it: ``?task=sst2``
    label: str  # as people read it
    number: float | None = None  # where it stands for one: a length, a seed, the sparsity of a pattern
    group: str | None = None  # a task's


class RowDocument(LabelDocument):
    dense: float | None
    chance: float | None
    majority: float | None
    spread: float | None  # largest minus smallest of the row (over it, of perplexities), of the same cells as the best
    cells: list[CellDocument | None]


class TableDocument(Document):
    measure: Measure
    rows_axis: str
    columns_axis: str
    columns: list[str]
    column_labels: list[LabelDocument]
    rows: list[RowDocument]
    averaged: list[str]  # axes whose values some cell is a mean over
    largest_difference: float
    tested: int  # measurements with a p: the family of Benjamini-Hochberg
    surviving: int
    notes: list[str]  # what a reader of the numbers has to know


def table_title(name: str) -> str:
    """``table-1`` -> ``Table 1``."""
    return name.replace("-", " ").capitalize()


class PaperTable(Document):
    """A table of the paper whose values stand beside the measured ones."""

    model_config = ConfigDict(from_attributes=True)

    name: str  # "table-1"
    caption: str
    source: str
    note: str

    @property
    def title(self) -> str:
        """``Table 1``."""
        return table_title(self.name)


class StudyTableDocument(Document):
    """A study's table as a JSON file, with the caption and the query that chose it."""

    study: str
    title: str
    href: str
    caption: str
    notes: list[str]
    measure: Measure
    show: Show
    filters: dict[str, list[str]]
    published: PaperTable | None
    table: TableDocument


class StudyChart(Document):
    """The table that a chart draws: one line or mark for each row, the columns along the x axis."""

    name: ChartName
    title: str
    like: str  # what of the paper it corresponds to; the paper has no perplexities
    table: TableDocument
    href: str  # the same as a table
    csv_href: str


class FailedCell(Document):
    """A job of the study that did not succeed; it can be tried again alone (POST to ``retry_href``)."""

    label: str
    state: JobState
    error: str | None
    job: str
    href: str
    retry_href: str


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
    """A study with one table; ``rows`` and ``columns`` in the query choose its axes, an axis' name filters it."""

    spec: dict[str, object]
    axes: dict[str, list[str]]  # "task": ["sst2", ...]; of all of the study, whatever is filtered
    axis_labels: dict[str, list[LabelDocument]]  # the same, as people read them
    filters: dict[str, list[str]]  # axis: the values of it that count
    measure: Measure
    measures: list[Measure]  # what the study measures; the first is shown unless ``measure`` says otherwise
    show: Show  # the measure itself, or its difference to dense
    published: PaperTable | None  # the paper's table that is laid beside
    published_tables: list[str]  # those that have a value for a cell of this table
    table: TableDocument
    tables: list[Link]  # the usual pairs of axes
    chart: StudyChart | None
    charts: list[Link]  # those that the study has the axes for
    models: list[Link]  # the pruned ones that are there, the first few
    models_total: int
    attributions: list[Link]
    failures: list[FailedCell]  # the first few; ``failed`` counts them
    retry_href: str | None  # where all of them are tried again (POST)
    running: int
    jobs: list[JobItem]  # the first few, in the order of the plan
    jobs_next_href: str | None  # the rest (JSON)


class StudyJobs(Page[JobItem]):
    """The jobs of a study, in the order of its plan."""
