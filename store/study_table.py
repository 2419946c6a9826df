"""A study as tables: one fact for each cell and task, and any two axes of them crossed.

    StudyTable   {id, job, spec, cells: [StudyCell], facts: [Fact], dense: [Fact], axes: {axis: [label]}}
    StudyCell    one job of the study and its place in the grid
    Fact         one pruned model on one task, beside the dense model on the same task
    Pivot        two axes crossed, the others averaged over or filtered: rows and columns of PivotCells
    PivotCell    the facts that meet there: one, or the mean of several

Accuracies are shares (0 to 1), differences are accuracy minus dense, intervals are 95 % ones. Axes: model, method,
pattern, calibration, seqlen, allocation, seed, task, group (of tasks).
"""

from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from statistics import fmean
from typing import Any, Literal, NamedTuple, TypeVar

from jobs.documents import Job, JobKind, JobState
from jobs.problems import bad_field, unknown_name
from jobs.vocabulary import TASKS
from store.measurements import Interval, Measured, Measurement, Pairing
from store.paired_statistics import benjamini_hochberg, interval_of_mean
from store.results import Record

Axis = Literal["model", "method", "pattern", "calibration", "seqlen", "allocation", "seed", "task", "group"]
AXES: tuple[Axis, ...] = ("model", "method", "pattern", "calibration", "seqlen", "allocation", "seed", "task", "group")
Where = Mapping[str, Sequence[str]]
"""Axis -> the labels of it that count."""

FALSE_DISCOVERY_RATE = 0.05
NO_GROUP = "other"
_NONE = "none"
_CONTEXT = "context"
_UNIFORM = "uniform"
_UNSUCCESSFUL = (JobState.FAILED, JobState.CANCELLED)


@dataclass(frozen=True, slots=True, kw_only=True)
class StudyCell:
    """One job of the study and its place in the grid."""

    position: int
    job: str
    kind: JobKind
    state: JobState
    role: Literal["dense", "prune", "evaluate", "attribute"]
    model: str
    method: str | None = None
    pattern: str | None = None
    calibration: str | None = None
    seqlen: int | None = None
    allocation: str | None = None
    seed: int | None = None
    sparsity: float | None = None
    pruned: str | None = None
    artefact: str
    """Id of what the cell makes (an evaluation, a pruned model, an attribution), whether it is there yet or not."""
    error: str | None = None

    @property
    def done(self) -> bool:
        """The artefact is there."""
        return self.state == JobState.SUCCEEDED

    @property
    def unsuccessful(self) -> bool:
        """It failed or was cancelled, and can be tried again."""
        return self.state in _UNSUCCESSFUL

    @property
    def labels(self) -> dict[str, str]:
        """Where its facts stand on the axes, but for their tasks: "none" for a method that uses no calibration set,
        "context" for windows as long as the model's context."""
        seqlen = _CONTEXT if self.seqlen is None and self.calibration is not None else self.seqlen
        places = {
            "model": self.model,
            "method": self.method,
            "pattern": self.pattern,
            "calibration": self.calibration,
            "seqlen": seqlen,
            "allocation": self.allocation or _UNIFORM,
            "seed": self.seed,
        }
        return {axis: _NONE if value is None else str(value) for axis, value in places.items()}


class Fact(NamedTuple):
    """One model on one task: what was measured, beside the dense model's, and the two on the same rows. Each is None
    until it is there. `labels` are its cell's."""

    cell: StudyCell
    labels: dict[str, str]
    task: str
    group: str
    measured: Measurement | None
    before: Measurement | None
    pairing: Pairing | None

    @property
    def accuracy(self) -> float | None:
        """Share of right answers."""
        return None if self.measured is None else self.measured.value

    @property
    def dense(self) -> float | None:
        """The dense model's accuracy."""
        return None if self.before is None else self.before.value

    @property
    def difference(self) -> float | None:
        """Accuracy minus the dense model's."""
        if self.measured is None or self.before is None:
            return None
        return self.measured.value - self.before.value

    def label(self, axis: str) -> str:
        """Where it stands on an axis."""
        if axis == "task":
            return self.task
        return self.group if axis == "group" else self.labels[axis]


@dataclass(frozen=True, slots=True, kw_only=True)
class StudyTable:
    """Everything that a study's page shows."""

    id: str
    job: Job
    spec: dict[str, Any]
    cells: list[StudyCell]
    facts: list[Fact]
    dense: list[Fact]
    """The dense models' own accuracies; no differences."""
    axes: dict[str, list[str]]


@dataclass(frozen=True, slots=True, kw_only=True)
class PivotCell:
    """The facts that meet in a row and a column, `only` where it is a single one.

    Intervals, rows and changed rows are given for one measurement, and for the mean of several that share no rows,
    which are those on different tasks.
    """

    only: Fact | None
    accuracy: float | None
    interval: Interval | None
    dense: float | None
    difference: float | None
    difference_interval: Interval | None
    p: float | None
    q: float | None
    survivors: int
    """Facts whose difference holds at a false discovery rate of 5 % over all facts of the table."""
    rows: int | None
    newly_wrong: int | None
    newly_right: int | None
    chance: float | None
    majority: float | None
    at_chance: bool
    """Its interval holds chance; of a mean without an interval: every one of its facts' does."""
    facts: int
    done: int
    failed: int
    state: JobState
    pruned: str | None
    """The pruned model that all of its facts are of."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Pivot:
    """Two axes crossed; the other ones are averaged over, or held to some labels by `where`."""

    rows: Axis
    columns: Axis
    where: dict[str, tuple[str, ...]]
    row_labels: list[str]
    column_labels: list[str]
    dense: list[float | None]
    """The dense accuracy of each row, the mean over the facts of the row."""
    cells: list[list[PivotCell | None]]
    averaged: list[Axis]
    """The other axes whose labels some cell is a mean over."""
    tested: int
    """How many facts have a p: the family of Benjamini-Hochberg."""
    surviving: int


def study_table(
    study: Record,
    job: Job,
    cells: Sequence[StudyCell],
    measured: Measured,
    pairings: Mapping[tuple[str, str, str], Pairing],
) -> StudyTable:
    """The table of a study from its cells, and from what is measured already: (evaluation, task) -> measurement;
    (evaluation, task, dense evaluation) -> pairing."""
    tasks = list(study.spec["tasks"])
    groups = {task: TASKS.get(task, NO_GROUP) for task in tasks}
    denses = {cell.model: cell.artefact for cell in cells if cell.role == "dense"}
    dense: list[Fact] = []
    facts: list[Fact] = []
    for cell in cells:
        if cell.role not in {"dense", "evaluate"}:
            continue
        labels, beside = cell.labels, denses.get(cell.model, "")
        for task, group in groups.items():
            found = measured.get((cell.artefact, task))
            if cell.role == "dense":
                dense.append(Fact(cell, labels, task, group, found, None, None))
                continue
            pairing = pairings.get((cell.artefact, task, beside))
            facts.append(Fact(cell, labels, task, group, found, measured.get((beside, task)), pairing))
    axes: dict[str, list[str]] = {axis: _once(fact.label(axis) for fact in facts) for axis in AXES}
    axes["model"] = list(study.spec["models"])
    axes["task"] = tasks
    axes["group"] = _once(groups.values())
    return StudyTable(id=study.id, job=job, spec=study.spec, cells=list(cells), facts=facts, dense=dense, axes=axes)


def pivot(table: StudyTable, rows: str, columns: str, where: Where | None = None) -> Pivot:
    """Cross two different axes. Problem 422 for an axis, or a label of `where`, that is not there."""
    for name, given in (("rows", rows), ("columns", columns)):
        if given not in AXES:
            raise bad_field(name, given, list(AXES), unknown_name(given, AXES))
    if rows == columns:
        raise bad_field("columns", columns, [axis for axis in AXES if axis != rows], "is the same as rows")
    down, across = _axis(rows), _axis(columns)
    held = _held(table, where or {})
    facts = [fact for fact in table.facts if all(fact.label(axis) in labels for axis, labels in held.items())]
    tested = [fact.pairing.p for fact in facts if fact.pairing is not None]
    adjusted = iter(benjamini_hochberg(tested).tolist())
    meeting: dict[tuple[str, str], list[tuple[Fact, float | None]]] = {}
    of_row: dict[str, list[Fact]] = {}
    surviving = 0
    for fact in facts:
        q = None if fact.pairing is None else next(adjusted)
        surviving += _survives(q)
        row = fact.label(down)
        meeting.setdefault((row, fact.label(across)), []).append((fact, q))
        of_row.setdefault(row, []).append(fact)
    column_labels = _once(column for _, column in meeting)
    column_labels.sort(key=_order(table, across))
    row_labels = sorted(of_row, key=_order(table, down))
    return Pivot(
        rows=down,
        columns=across,
        where=held,
        row_labels=row_labels,
        column_labels=column_labels,
        dense=[_mean(fact.dense for fact in of_row[row]) for row in row_labels],
        cells=[[_pivot_cell(meeting.get((row, column), [])) for column in column_labels] for row in row_labels],
        averaged=[axis for axis in AXES if axis not in {down, across} and _several(axis, meeting.values())],
        tested=len(tested),
        surviving=surviving,
    )


def _held(table: StudyTable, where: Where) -> dict[str, tuple[str, ...]]:
    held: dict[str, tuple[str, ...]] = {}
    for name, labels in where.items():
        if name not in AXES:
            raise bad_field(name, list(labels), list(AXES), unknown_name(name, AXES))
        known = table.axes[name]
        for label in labels:
            if label not in known:
                raise bad_field(name, label, known, unknown_name(label, known))
        held[name] = tuple(_once(labels))
    return held


def _order(table: StudyTable, axis: Axis) -> Callable[[str], int]:
    places = {label: place for place, label in enumerate(table.axes[axis])}
    return lambda label: places[label]


def _several(axis: Axis, cells: Iterable[Sequence[tuple[Fact, float | None]]]) -> bool:
    """Whether a cell is a mean over labels of this axis. A task has one group: that tasks are averaged says it."""
    return axis != "group" and any(len({fact.label(axis) for fact, _ in cell}) > 1 for cell in cells)


def _survives(q: float | None) -> bool:
    return q is not None and q <= FALSE_DISCOVERY_RATE


def _pivot_cell(meeting: Sequence[tuple[Fact, float | None]]) -> PivotCell | None:
    if not meeting:
        return None
    facts = [fact for fact, _ in meeting]
    done = [fact.measured for fact in facts if fact.measured is not None]
    pairs = [fact.pairing for fact in facts if fact.pairing is not None]
    # On different tasks: no row is part of two of them, and what they say is independent.
    apart = len({fact.task for fact in facts}) == len(facts)
    paired = apart and 0 < len(pairs) == len(done)
    interval = _interval([(each.value, each.low, each.high) for each in done]) if apart else None
    only, q = meeting[0] if len(meeting) == 1 else (None, None)
    chance = _mean(each.chance for each in done)
    states = {fact.cell.state for fact in facts}
    return PivotCell(
        only=only,
        accuracy=_mean(each.value for each in done),
        interval=interval,
        dense=_mean(fact.dense for fact in facts),
        difference=_mean(fact.difference for fact in facts),
        difference_interval=_interval([(each.difference, each.low, each.high) for each in pairs]) if paired else None,
        p=only.pairing.p if only and only.pairing else None,
        q=q,
        survivors=sum(_survives(each) for _, each in meeting),
        rows=sum(each.rows or 0 for each in done) or None if apart else None,
        newly_wrong=sum(each.newly_wrong for each in pairs) if paired else None,
        newly_right=sum(each.newly_right for each in pairs) if paired else None,
        chance=chance,
        majority=_mean(each.majority for each in done),
        at_chance=_holds(interval, chance) if interval else bool(done) and all(map(_near_chance, done)),
        facts=len(facts),
        done=len(done),
        failed=sum(fact.cell.unsuccessful for fact in facts),
        state=_common_state(states),
        pruned=facts[0].cell.pruned if len({fact.cell.pruned for fact in facts}) == 1 else None,
    )


def _interval(measured: Sequence[tuple[float, float | None, float | None]]) -> Interval | None:
    """The interval of the mean of independent (value, low, high)."""
    ends = [(low, high) for _, low, high in measured if low is not None and high is not None]
    if not ends or len(ends) < len(measured):
        return None
    return interval_of_mean([value for value, _, _ in measured], [low for low, _ in ends], [high for _, high in ends])


def _near_chance(measured: Measurement) -> bool:
    return measured.interval is not None and _holds(measured.interval, measured.chance)


def _holds(interval: Interval, value: float | None) -> bool:
    return value is not None and interval[0] <= value <= interval[1]


def _common_state(states: Collection[JobState]) -> JobState:
    """What a person would say of several cells: running while one runs, failed as soon as all have ended and one
    failed."""
    for state in (JobState.RUNNING, JobState.QUEUED, JobState.FAILED, JobState.CANCELLED):
        if state in states:
            return state
    return JobState.SUCCEEDED


def _mean(values: Iterable[float | None]) -> float | None:
    given = [value for value in values if value is not None]
    return fmean(given) if given else None


def _axis(name: str) -> Axis:
    return next(axis for axis in AXES if axis == name)


Label = TypeVar("Label")


def _once(labels: Iterable[Label]) -> list[Label]:
    return list(dict.fromkeys(labels))
