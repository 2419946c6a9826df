"""JSON documents of a study, its tables and its chart."""

from datetime import datetime
from functools import cached_property
from statistics import NormalDist
from typing import Literal

from pydantic import computed_field

from prunescope.jobs.documents import JobState
from prunescope.server.jobs.documents import JobItem
from prunescope.server.site.documents import Document, Link
from prunescope.store.evaluations.values import Interval, Measure, perplexity
from prunescope.store.studies.published import PaperTable

Show = Literal["accuracy", "perplexity", "auc", "prior", "adjusted", "difference"]
ChartName = Literal["sparsity", "seqlen", "method", "group"]
Verdict = Literal["better", "worse", "no difference seen", "too few rows to tell"]

RELEVANT = 0.05
"""A difference to the dense model that must not be missed: 5 points, or 0.05 nats per token (5 % of the perplexity)."""
_POWER_ENDS = (NormalDist().inv_cdf(0.975) + NormalDist().inv_cdf(0.8)) / (2 * NormalDist().inv_cdf(0.975))
"""Detectable difference divided by the width of a 95 % interval; 0.71."""


class CellDocument(Document):
    """One cell of a table: a measurement, or the mean of several over the axes that are not shown.

    Accuracies are shares (0 to 1), ``difference`` is pruned minus dense accuracy. In a table of perplexities a mean is
    geometric, ``difference`` is that of losses in nats per token (the logarithm of ``ratio``), ``rows`` are predicted
    tokens, and ``newly_wrong`` and ``newly_right`` are windows with a higher and lower loss of the pruned model. All
    intervals are 95 % intervals; they, rows and changed rows are None for a mean of measurements on the same rows.
    """

    accuracy: float | None
    perplexity: float | None = None
    auc: float | None = None
    prior: float | None = None  # prior shift, a share (0 to 1)
    adjusted: float | None = None  # adjusted accuracy
    interval: Interval | None
    dense: float | None
    difference: float | None
    ratio: float | None = None  # perplexity divided by the dense model's
    difference_interval: Interval | None  # paired over rows or windows
    p: float | None  # of a single measurement: McNemar's exact test, or Student's paired
    q: float | None  # p adjusted by Benjamini-Hochberg over all measurements of the table
    survives: bool  # q is at most 0.05
    survivors: int  # number of measurements with q at most 0.05
    rows: int | None
    newly_wrong: int | None  # right in the dense model, wrong in the pruned one
    newly_right: int | None
    chance: float | None
    majority: float | None  # accuracy of always giving the most frequent right answer
    at_chance: bool  # the interval contains chance (of a mean without one: all intervals do)
    best: bool  # best of the row, among cells without missing measurements
    measurements: int  # number of measurements in the mean, missing ones included
    done: int  # number of existing measurements
    failed: int  # number of measurements whose job failed or was cancelled
    state: JobState  # succeeded if all jobs did
    job: str | None  # job of the evaluation, of a single measurement
    evaluation: str | None
    href: str | None  # the examples, or the job until they exist
    model_href: str | None = None  # the pruned model, if all measurements are of one that exists
    published: float | None = None  # the value in the selected table of the paper

    @cached_property
    def value(self) -> float | None:
        """The number of the table's measure."""
        values = (self.accuracy, self.perplexity, self.auc, self.prior, self.adjusted)
        return next((value for value in values if value is not None), None)

    @property
    def partial(self) -> bool:
        """Whether some of the measurements exist and others do not."""
        return self.value is not None and self.done < self.measurements

    @property
    def change(self) -> float | None:
        """The difference of accuracies or the ratio of perplexities."""
        return self.difference if self.ratio is None else self.ratio

    @property
    def change_interval(self) -> Interval | None:
        """The 95 % interval of ``change``."""
        if self.ratio is None or self.difference_interval is None:
            return self.difference_interval
        low, high = self.difference_interval
        return perplexity(low), perplexity(high)

    @computed_field  # type: ignore[prop-decorator]
    @property
    def detectable(self) -> float | None:
        """The smallest true difference that as many rows show with p < 0.05 in four of five samples, from the width of
        the interval; in the unit of ``difference``."""
        if self.difference_interval is None:
            return None
        low, high = self.difference_interval
        return _POWER_ENDS * (high - low)

    @computed_field  # type: ignore[prop-decorator]
    @property
    def verdict(self) -> Verdict | None:
        """Better or worse than the dense model (q of a single measurement is at most 0.05, the interval of a mean
        excludes 0), else whether a difference of ``RELEVANT`` would have been seen. None without an interval."""
        if self.difference_interval is None or self.detectable is None or self.gain is None:
            return None
        low, high = self.difference_interval
        if self.survives if self.q is not None else not low <= 0 <= high:
            return "better" if self.gain > 0 else "worse"
        return "no difference seen" if self.detectable <= RELEVANT else "too few rows to tell"

    @property
    def gain(self) -> float | None:
        """The difference that the colour shows: positive if the measure is better than the dense model's."""
        lower_is_better = self.ratio is not None or self.prior is not None
        return -self.difference if self.difference is not None and lower_is_better else self.difference


class LabelDocument(Document):
    """One value of an axis."""

    value: str  # in addresses: ``?task=sst2``
    label: str  # on pages
    number: float | None = None  # a window length, a seed, or the sparsity of a pattern
    group: str | None = None  # of a task


class RowDocument(LabelDocument):
    dense: float | None
    chance: float | None
    majority: float | None
    spread: float | None  # largest minus smallest accuracy (ratio of perplexities) of complete cells
    cells: list[CellDocument | None]


class TableDocument(Document):
    measure: Measure
    rows_axis: str
    columns_axis: str
    columns: list[str]
    column_labels: list[LabelDocument]
    rows: list[RowDocument]
    averaged: list[str]  # axes over whose values at least one cell is a mean
    largest_difference: float
    tested: int  # number of measurements with a p-value: the family of Benjamini-Hochberg
    surviving: int
    notes: list[str]  # how the numbers were computed


class StudyChart(Document):
    """A chart with the table that it shows: one line or mark for each row, the columns along the x axis."""

    name: ChartName
    title: str
    like: str  # the corresponding table or figure of the paper, empty for perplexities
    table: TableDocument
    href: str  # the page of the table
    csv_href: str


class FailedCell(Document):
    """A job of the study that failed or was cancelled. POST to ``retry_href`` queues it again."""

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
    """A study with one of its tables. In the query, ``rows`` and ``columns`` choose the axes of the table, and
    ``<axis>=<value>`` restricts an axis to a value."""

    spec: dict[str, object]
    axes: dict[str, list[str]]  # "task": ["sst2", ...]; all values, whatever the filters
    axis_labels: dict[str, list[LabelDocument]]  # the same values with their labels
    filters: dict[str, list[str]]  # axis -> the values to which it is restricted
    measure: Measure
    measures: list[Measure]  # the study's measures; the first is the default
    show: Show  # the measure, or its difference to dense
    published: PaperTable | None  # the table of the paper whose values are shown
    published_tables: list[str]  # names of the paper's tables with a value for a cell of this table
    table: TableDocument
    tables: list[Link]  # the usual pairs of axes
    chart: StudyChart | None
    charts: list[Link]  # charts for which the study has several values on their axes
    models: list[Link]  # the first `MAX_LISTED` existing pruned models
    models_total: int
    attributions: list[Link]
    failures: list[FailedCell]  # the first `MAX_LISTED` of ``failed``
    retry_href: str | None  # POST queues all failed cells again
    running: int
    jobs: list[JobItem]  # the first `MAX_LISTED`, in the order of the grid
    jobs_next_href: str | None  # JSON of the following jobs
