"""The table of a study: one fact for each pruned model and task. `store/studies/pivot.py` computes pivot tables of it.

    StudyTable   {id, job, spec, cells: [StudyCell], axes: {axis: [label]}, facts: [Fact], dense: [Fact]}
    StudyCell    one job of the study and its position in the grid
    Fact         one pruned model on one task, compared with the dense model on the same task

Accuracies are shares (0 to 1), differences are accuracy minus dense accuracy, intervals are 95 % intervals. The axes
are model, method, pattern, calibration, seqlen, allocation, seed, task and group (of tasks).

A table contains accuracies, perplexities, or, of tasks with fixed labels, AUCs, prior shifts or adjusted accuracies
(`store/evaluations/labels.py`), which are not paired. The tasks of perplexities are their texts. A perplexity is stored
as its logarithm, the mean loss in nats per token, and differences, means and intervals are computed from it, so that a
mean of perplexities is a geometric mean. The pages convert it back with exp.
"""

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any, Literal, NamedTuple, TypeVar

from prunescope.jobs.documents import Job, JobKind, JobState
from prunescope.jobs.vocabulary import TASKS
from prunescope.store.artefacts.records import Record
from prunescope.store.evaluations.outcomes import text_key
from prunescope.store.evaluations.queries import Measured, Paired
from prunescope.store.evaluations.values import ACCURACY, OF_LABELS, PERPLEXITY, Measure, Measurement, Pairing
from prunescope.store.studies.facts import FactArrays, Findings, fact_arrays

Axis = Literal["model", "method", "pattern", "calibration", "seqlen", "allocation", "seed", "task", "group"]
AXES: tuple[Axis, ...] = ("model", "method", "pattern", "calibration", "seqlen", "allocation", "seed", "task", "group")
Where = Mapping[str, Sequence[str]]
"""Axis -> the labels to which it is restricted."""

NO_GROUP = "other"
TEXTS = "held-out text"
"""The group of all texts on which perplexity is measured."""
_NONE = "none"
_CONTEXT = "context"
_UNIFORM = "uniform"
UNSUCCESSFUL = (JobState.FAILED, JobState.CANCELLED)


@dataclass(frozen=True, kw_only=True)
class StudyCell:
    """One job of a study and its position in the grid (`Cell` in `store/studies/grid.py`)."""

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
    """Id of the cell's result (an evaluation, a pruned model, an attribution), known before the result exists."""
    error: str | None = None

    @property
    def done(self) -> bool:
        """Whether the job has succeeded, so that its result exists."""
        return self.state == JobState.SUCCEEDED

    @property
    def unsuccessful(self) -> bool:
        """Whether the job failed or was cancelled, so that it can be retried."""
        return self.state in UNSUCCESSFUL

    @cached_property
    def labels(self) -> dict[str, str]:
        """Axis -> label of the cell's facts, for all axes except task and group. "none" means that the axis does not
        apply, such as calibration for a method that needs none; the seqlen "context" is the model's context length."""
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
    """One model on one task: its measurement (`measured`), the dense model's (`before`), and the pairing of both on the
    same rows; each None until it exists. `labels` are the labels of the cell."""

    cell: StudyCell
    labels: dict[str, str]
    task: str
    group: str
    measured: Measurement | None
    before: Measurement | None
    pairing: Pairing | None

    @property
    def value(self) -> float | None:
        """The accuracy, or the mean loss in nats per token of a perplexity; None until it is measured."""
        return None if self.measured is None else self.measured.value

    @property
    def dense(self) -> float | None:
        """The value of the dense model; None until it is measured."""
        return None if self.before is None else self.before.value

    @property
    def difference(self) -> float | None:
        """The value minus the dense model's value; None until both are measured."""
        if self.measured is None or self.before is None:
            return None
        return self.measured.value - self.before.value

    def label(self, axis: str) -> str:
        """The label of the fact on an axis."""
        if axis == "task":
            return self.task
        return self.group if axis == "group" else self.labels[axis]


@dataclass(frozen=True, kw_only=True)
class StudyTable:
    """All data of a study's page. Facts are sorted by cell in the order of the grid, then by task. A large study has
    tens of thousands of facts, so `Fact` objects are created only when they are accessed."""

    id: str
    job: Job
    spec: dict[str, Any]
    measure: Measure
    cells: list[StudyCell]
    groups: dict[str, str]
    """Task -> group."""
    axes: dict[str, list[str]]
    findings: Findings
    dense_of: dict[str, str]
    """Evaluation of a pruned model -> the study's evaluation of its dense model."""

    @cached_property
    def evaluated(self) -> list[StudyCell]:
        """The cells that have facts: the evaluations of pruned models."""
        return [cell for cell in self.cells if cell.role == "evaluate" and self.groups]

    @cached_property
    def facts_by(self) -> FactArrays:
        """The facts as arrays."""
        return fact_arrays(self.evaluated, self.groups, self.axes, self.findings)

    def fact(self, place: int) -> Fact:
        """The fact at this index of the arrays."""
        cell, task = divmod(place, len(self.groups))
        return self._fact(self.evaluated[cell], self.axes["task"][task])

    @property
    def facts(self) -> list[Fact]:
        """All facts."""
        return [self._fact(cell, task) for cell in self.evaluated for task in self.groups]

    @property
    def dense(self) -> list[Fact]:
        """The facts of the dense models, without comparisons."""
        return [self._fact(cell, task) for cell in self.cells if cell.role == "dense" for task in self.groups]

    def _fact(self, cell: StudyCell, task: str) -> Fact:
        measured = self.findings.measurement(cell.artefact, task)
        before = self.findings.measurement(self.dense_of.get(cell.artefact, ""), task)
        pairing = self.findings.pairing(cell.artefact, task)
        return Fact(cell, cell.labels, task, self.groups[task], measured, before, pairing)


def measures_of(spec: Mapping[str, Any]) -> list[Measure]:
    """The measures that a study's spec requests: accuracy if there are tasks, then perplexity. Accuracy, with an empty
    table, if the spec requests neither."""
    perplexity: list[Measure] = [PERPLEXITY] if spec.get("perplexity") else []
    return [ACCURACY, *perplexity] if spec["tasks"] or not perplexity else perplexity


def study_table(
    study: Record,
    job: Job,
    cells: Sequence[StudyCell],
    found: tuple[Iterable[Measured], Iterable[Paired]],
    measure: Measure = ACCURACY,
) -> StudyTable:
    """The table of a study for one measure, from its cells and the measurements and pairings that exist so far
    (`found`, from `Measurements.of_study`)."""
    measured, paired = ([*rows] for rows in found)
    if measure == PERPLEXITY:
        tasks = [*map(text_key, study.spec["perplexity"]["datasets"])]
        groups = dict.fromkeys(tasks, TEXTS)
    else:
        tasks = list(study.spec["tasks"])
        if measure in OF_LABELS:  # only the tasks with fixed labels, which are known when they have been measured
            named = {task for names in {names for _, names, _ in measured} for task in json.loads(names)}
            tasks = [task for task in tasks if task in named]
        groups = {task: TASKS.get(task, NO_GROUP) for task in tasks}
    dense = {cell.model: cell.artefact for cell in cells if cell.role == "dense"}
    evaluated = [cell for cell in cells if cell.role == "evaluate"]
    dense_of = {cell.artefact: dense[cell.model] for cell in evaluated if cell.model in dense}
    places = [cell.labels for cell in evaluated] if tasks else []
    axes: dict[str, list[str]] = {axis: _once(labels[axis] for labels in places) for axis in AXES[:-2]}
    axes["model"] = list(study.spec["models"])
    axes["task"] = tasks
    axes["group"] = _once(groups.values())
    return StudyTable(
        id=study.id,
        job=job,
        spec=study.spec,
        measure=measure,
        cells=list(cells),
        groups=groups,
        axes=axes,
        findings=Findings(measured, paired, tasks, dense_of, measure),
        dense_of=dense_of,
    )


Label = TypeVar("Label")


def _once(labels: Iterable[Label]) -> list[Label]:
    return list(dict.fromkeys(labels))
