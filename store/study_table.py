"""A study as tables: one fact for each cell and task, and any two axes of them crossed.

    StudyTable   {id, job, spec, cells: [StudyCell], facts: [Fact], axes: {axis: [label]}}
    StudyCell    {position, job, kind, state, role, model, method, pattern, calibration, seqlen, allocation, seed,
                 sparsity, pruned, artefact, error}
    Fact         one accuracy: {task, group, evaluation, accuracy, rows, interval, chance, majority, dense, difference,
                 state, job, model, method, pattern, calibration, seqlen, allocation, seed, sparsity, pruned}; dense
                 models are not facts, they are `dense` of them
    Pivot        {rows: axis, columns: axis, row_labels, column_labels, dense: [..], cells: [[PivotCell | None]]}
    PivotCell    {accuracy, interval, dense, difference, facts, done, state, job, evaluation, pruned}: means over the
    facts that meet there

Accuracies are shares (0 to 1), differences are accuracy minus dense. Axes: model, method, pattern, calibration,
seqlen, allocation, seed, task.
"""

from collections.abc import Iterable, Sequence
from statistics import fmean
from typing import Any, Literal, TypeVar

from pydantic import BaseModel, ConfigDict

from jobs.documents import Job, JobKind, JobState
from jobs.problems import bad_field, unknown_name
from jobs.vocabulary import TASKS
from store.results import Record

Axis = Literal["model", "method", "pattern", "calibration", "seqlen", "allocation", "seed", "task"]
AXES: tuple[Axis, ...] = ("model", "method", "pattern", "calibration", "seqlen", "allocation", "seed", "task")
Interval = tuple[float, float]

_NONE = "none"
_CONTEXT = "context"
_UNIFORM = "uniform"


class _Document(BaseModel):
    model_config = ConfigDict(frozen=True)


class StudyCell(_Document):
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


class Fact(_Document):
    """The accuracy of one pruned model on one task, beside the dense model's."""

    model: str
    method: str
    pattern: str
    calibration: str | None
    seqlen: int | None
    allocation: str
    seed: int | None
    sparsity: float
    pruned: str
    task: str
    group: str
    job: str
    state: JobState
    evaluation: str
    accuracy: float | None = None
    rows: int | None = None
    interval: Interval | None = None
    chance: float | None = None
    majority: float | None = None
    dense: float | None = None
    dense_interval: Interval | None = None
    dense_evaluation: str | None = None
    difference: float | None = None

    def label(self, axis: Axis) -> str:
        """Where the fact stands on an axis; "none" for a method that uses no calibration set, "context" for windows as
        long as the model's context."""
        value = getattr(self, axis)
        if value is None:
            return _CONTEXT if axis == "seqlen" and self.calibration is not None else _NONE
        return str(value)


class StudyTable(_Document):
    """Everything that a study's page shows."""

    id: str
    job: Job
    spec: dict[str, Any]
    cells: list[StudyCell]
    facts: list[Fact]
    dense: list[Fact]
    """The dense models' own accuracies: method "dense", sparsity 0, no difference."""
    axes: dict[str, list[str]]


class PivotCell(_Document):
    """The facts that meet in a row and a column. The interval is given where it is a single one."""

    accuracy: float | None
    interval: Interval | None
    chance: float | None
    dense: float | None
    difference: float | None
    facts: int
    done: int
    state: JobState
    job: str | None
    evaluation: str | None
    pruned: str | None
    task: str | None


class Pivot(_Document):
    """Two axes crossed; the other ones are averaged over, or held to one label by `where`."""

    rows: Axis
    columns: Axis
    row_labels: list[str]
    column_labels: list[str]
    dense: list[float | None]
    """The dense accuracy of each row, the mean over the facts of the row."""
    cells: list[list[PivotCell | None]]


def study_table(study: Record, job: Job, cells: Sequence[StudyCell], evaluations: dict[str, Record]) -> StudyTable:
    """The table of a study from its cells and the records of the evaluations that are there already."""
    tasks = list(study.spec["tasks"])
    dense = [fact for cell in cells if cell.role == "dense" for fact in _facts(cell, tasks, evaluations)]
    known = {(fact.model, fact.task): fact for fact in dense}
    facts: list[Fact] = []
    for cell in cells:
        if cell.role == "evaluate":
            facts += [_beside(fact, known.get((fact.model, fact.task))) for fact in _facts(cell, tasks, evaluations)]
    axes = {axis: _once(fact.label(axis) for fact in facts) for axis in AXES}
    axes["model"] = list(study.spec["models"])
    axes["task"] = tasks
    return StudyTable(id=study.id, job=job, spec=study.spec, cells=list(cells), facts=facts, dense=dense, axes=axes)


def pivot(table: StudyTable, rows: str, columns: str, where: dict[str, str] | None = None) -> Pivot:
    """Cross two different axes. `where`: axis -> the one label that counts. Problem 422 for an axis that is not
    there."""
    for name, given in (("rows", rows), ("columns", columns), *((axis, axis) for axis in where or {})):
        if given not in AXES:
            raise bad_field(name, given, list(AXES), unknown_name(given, AXES))
    if rows == columns:
        raise bad_field("columns", columns, [axis for axis in AXES if axis != rows], "is the same as rows")
    down, across = _axis(rows), _axis(columns)
    facts = [
        fact for fact in table.facts if all(fact.label(_axis(axis)) == label for axis, label in (where or {}).items())
    ]
    row_labels, column_labels = (_once(fact.label(axis) for fact in facts) for axis in (down, across))
    at: dict[tuple[str, str], list[Fact]] = {}
    for fact in facts:
        at.setdefault((fact.label(down), fact.label(across)), []).append(fact)
    grid = [[_pivot_cell(at.get((row, column), [])) for column in column_labels] for row in row_labels]
    dense = [_mean(fact.dense for fact in facts if fact.label(down) == row) for row in row_labels]
    return Pivot(rows=down, columns=across, row_labels=row_labels, column_labels=column_labels, dense=dense, cells=grid)


def _facts(cell: StudyCell, tasks: Sequence[str], evaluations: dict[str, Record]) -> list[Fact]:
    record = evaluations.get(cell.artefact)
    measured: dict[str, Any] = record.summary.get("tasks", {}) if record is not None else {}
    fields = ("accuracy", "rows", "interval", "chance", "majority")
    return [
        Fact(
            model=cell.model,
            method=cell.method or "dense",
            pattern=cell.pattern or "dense",
            calibration=cell.calibration,
            seqlen=cell.seqlen,
            allocation=cell.allocation or _UNIFORM,
            seed=cell.seed,
            sparsity=cell.sparsity or 0.0,
            pruned=cell.pruned or "",
            task=task,
            group=TASKS.get(task, "other"),
            job=cell.job,
            state=cell.state,
            evaluation=cell.artefact,
            **{name: measured.get(task, {}).get(name) for name in fields},
        )
        for task in tasks
    ]


def _beside(fact: Fact, dense: Fact | None) -> Fact:
    if dense is None or dense.accuracy is None:
        return fact
    difference = None if fact.accuracy is None else fact.accuracy - dense.accuracy
    return fact.model_copy(
        update={
            "dense": dense.accuracy,
            "dense_interval": dense.interval,
            "dense_evaluation": dense.evaluation,
            "difference": difference,
        }
    )


def _pivot_cell(facts: list[Fact]) -> PivotCell | None:
    if not facts:
        return None
    done = [fact for fact in facts if fact.accuracy is not None]
    only = facts[0] if len(facts) == 1 else None
    return PivotCell(
        accuracy=_mean(fact.accuracy for fact in done),
        interval=only.interval if only else None,
        chance=_mean(fact.chance for fact in done),
        dense=_mean(fact.dense for fact in done),
        difference=_mean(fact.difference for fact in done),
        facts=len(facts),
        done=len(done),
        state=_common_state([fact.state for fact in facts]),
        job=only.job if only else None,
        evaluation=only.evaluation if only else None,
        pruned=facts[0].pruned if len({fact.pruned for fact in facts}) == 1 else None,
        task=only.task if only else None,
    )


def _common_state(states: Sequence[JobState]) -> JobState:
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
