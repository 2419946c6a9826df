"""A study as a table: one fact for each cell and task. Any two axes of them are crossed by `store/pivot.py`.

    StudyTable   {id, job, spec, cells: [StudyCell], facts: [Fact], dense: [Fact], axes: {axis: [label]}}
    StudyCell    one job of the study and its place in the grid
    Fact         one pruned model on one task, beside the dense model on the same task

Accuracies are shares (0 to 1), differences are accuracy minus dense, intervals are 95 % ones. Axes: model, method,
pattern, calibration, seqlen, allocation, seed, task, group (of tasks).
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any, Literal, NamedTuple, TypeVar

from jobs.documents import Job, JobKind, JobState
from jobs.vocabulary import TASKS
from store.measurements import Measured, Measurement, Pairing
from store.results import Record
from store.study_facts import FactArrays

Axis = Literal["model", "method", "pattern", "calibration", "seqlen", "allocation", "seed", "task", "group"]
AXES: tuple[Axis, ...] = ("model", "method", "pattern", "calibration", "seqlen", "allocation", "seed", "task", "group")
Where = Mapping[str, Sequence[str]]
"""Axis -> the labels of it that count."""

NO_GROUP = "other"
_NONE = "none"
_CONTEXT = "context"
_UNIFORM = "uniform"
UNSUCCESSFUL = (JobState.FAILED, JobState.CANCELLED)


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
        return self.state in UNSUCCESSFUL

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


@dataclass(frozen=True, kw_only=True)
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

    @cached_property
    def facts_by(self) -> FactArrays:
        """The facts as arrays."""
        return FactArrays.of(self.facts, self.axes)


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
    # A cell's facts differ by their task alone.
    places = _once(tuple(fact.labels.items()) for fact in facts[:: max(1, len(tasks))])
    axes: dict[str, list[str]] = {axis: _once(dict(labels)[axis] for labels in places) for axis in AXES[:-2]}
    axes["model"] = list(study.spec["models"])
    axes["task"] = tasks
    axes["group"] = _once(groups.values())
    return StudyTable(id=study.id, job=job, spec=study.spec, cells=list(cells), facts=facts, dense=dense, axes=axes)


Label = TypeVar("Label")


def _once(labels: Iterable[Label]) -> list[Label]:
    return list(dict.fromkeys(labels))
