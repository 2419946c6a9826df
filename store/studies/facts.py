"""The facts of a study (one pruned model on one task each) as arrays, for tables computed from all of them at once."""

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from prunescope.jobs.documents import JobState
from prunescope.store.evaluations.packed import MEASURED, PAIRED, measurement, pairing, unpack
from prunescope.store.evaluations.queries import Measured, Paired
from prunescope.store.evaluations.values import ACCURACY, PERPLEXITY, Measure, Measurement, Pairing

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]
Bools = NDArray[np.bool_]

STATES = (JobState.RUNNING, JobState.QUEUED, JobState.FAILED, JobState.CANCELLED, JobState.SUCCEEDED)
"""The state of a group of cells is the first of these that any of them has: running while one is running, failed when
all have ended and one failed."""


class Findings:
    """The measurements of a study's evaluations on its tasks, and their pairings with the study's evaluations of dense
    models.

    `dense_of` maps the evaluation of a pruned model to that of its dense model. Perplexities and their intervals are
    converted to losses (nats per token).
    """

    def __init__(
        self,
        measured: Iterable[Measured],
        paired: Iterable[Paired],
        tasks: Sequence[str],
        dense_of: Mapping[str, str],
        measure: Measure = ACCURACY,
    ) -> None:
        measured = [*measured]
        self.at = {evaluation: place for place, (evaluation, *_) in enumerate(measured)}
        self.dense_of = dense_of
        self._task = {task: place for place, task in enumerate(tasks)}
        # The last index (-1) stands for evaluations that do not exist; its numbers are NaN.
        self.measured = np.full((len(self.at) + 1, len(tasks), len(MEASURED)), np.nan)
        self.paired = np.full((len(self.at) + 1, len(tasks), len(PAIRED)), np.nan)
        self._fill(self.measured, measured)
        own = (row for row in paired if row[0] in self.at and dense_of.get(row[0]) == row[1])
        self._fill(self.paired, ((name, names, block) for name, _, names, block in own))
        majority = self.measured[..., MEASURED.index("majority")]
        majority[majority >= 1] = np.nan  # useless as a baseline; see `telling_majority`
        if measure == PERPLEXITY:
            values = [MEASURED.index(name) for name in ("value", "low", "high")]
            self.measured[..., values] = np.log(self.measured[..., values])

    def _fill(self, into: Floats, rows: Iterable[Measured]) -> None:
        """Unpack database rows into an array [evaluations, tasks, columns]. Rows with the same tasks are decoded
        together."""
        alike: dict[str, list[Measured]] = defaultdict(list)
        for row in rows:
            alike[row[1]].append(row)
        for tasks, some in alike.items():
            names, numbers = unpack(tasks, (block for *_, block in some))
            # An evaluation may have tasks that only another study uses.
            here = [place for place, task in enumerate(names) if task in self._task]
            places = np.ix_([self.at[row[0]] for row in some], [self._task[names[place]] for place in here])
            into[places] = numbers[:, here]

    def measurement(self, evaluation: str, task: str) -> Measurement | None:
        """The measurement of an evaluation on a task; None if there is none."""
        numbers = self._numbers(self.measured, evaluation, task)
        return None if numbers[0] != numbers[0] else measurement(numbers)

    def pairing(self, evaluation: str, task: str) -> Pairing | None:
        """The pairing of an evaluation with that of its dense model on a task; None if there is none."""
        numbers = self._numbers(self.paired, evaluation, task)
        return None if numbers[0] != numbers[0] else pairing(self.dense_of[evaluation], numbers)

    def columns(self, evaluations: Sequence[str]) -> tuple[dict[str, Floats], dict[str, Floats], Floats]:
        """(column of MEASURED -> numbers, column of PAIRED -> numbers, the dense models' values). Each array is flat
        [evaluations x tasks], with all tasks of the first evaluation first."""
        here = self._indices(evaluations)
        dense = self._indices(self.dense_of.get(name, "") for name in evaluations)
        measured = dict(zip(MEASURED, _columns(self.measured[here]), strict=True))
        paired = dict(zip(PAIRED, _columns(self.paired[here]), strict=True))
        return measured, paired, self.measured[dense, :, MEASURED.index("value")].reshape(-1)

    def _indices(self, evaluations: Iterable[str]) -> Ints:
        return _ints(self.at.get(name, -1) for name in evaluations)

    def _numbers(self, table: Floats, evaluation: str, task: str) -> list[float]:
        numbers: list[float] = table[self.at.get(evaluation, -1), self._task[task]].tolist()
        return numbers


@dataclass(frozen=True)
class FactArrays:
    """The facts of a study as arrays [facts]; a missing number is NaN.

    `value` is an accuracy, or the mean loss of a perplexity in nats per token; likewise `dense` and the differences.
    `codes` maps each axis to the index of each fact's label on the axis. `state` are indices into STATES. `pruned` is
    an integer for each pruned model, equal for facts of the same model.
    """

    codes: Mapping[str, Ints]
    state: Ints
    pruned: Ints
    value: Floats
    low: Floats
    high: Floats
    rows: Floats
    chance: Floats
    majority: Floats
    dense: Floats
    difference: Floats
    newly_wrong: Floats
    newly_right: Floats
    paired_difference: Floats
    paired_low: Floats
    paired_high: Floats
    p: Floats


def fact_arrays(
    cells: Sequence[Any],
    groups: Mapping[str, str],
    axes: Mapping[str, Sequence[str]],
    findings: Findings,
) -> FactArrays:
    """The arrays of the facts of evaluation cells (`StudyCell`), with all tasks of the first cell first. `groups` maps
    each task to its group; `axes` maps each axis to its labels."""
    tasks, number = [*groups], len(groups)
    indices = {axis: {label: index for index, label in enumerate(labels)} for axis, labels in axes.items()}
    labels = [cell.labels for cell in cells]
    codes = {
        axis: np.repeat(_ints(at[each[axis]] for each in labels), number)
        for axis, at in indices.items()
        if axis not in {"task", "group"}
    }
    codes["task"] = np.tile(_ints(indices["task"][task] for task in tasks), len(cells))
    codes["group"] = np.tile(_ints(indices["group"][group] for group in groups.values()), len(cells))
    models: dict[str | None, int] = {}
    measured, paired, dense = findings.columns([cell.artefact for cell in cells])
    return FactArrays(
        codes=codes,
        state=np.repeat(_ints(STATES.index(cell.state) for cell in cells), number),
        pruned=np.repeat(_ints(models.setdefault(cell.pruned, len(models)) for cell in cells), number),
        value=measured["value"],
        low=measured["low"],
        high=measured["high"],
        rows=measured["rows"],
        chance=measured["chance"],
        majority=measured["majority"],
        dense=dense,
        difference=measured["value"] - dense,
        newly_wrong=paired["newly_wrong"],
        newly_right=paired["newly_right"],
        paired_difference=paired["difference"],
        paired_low=paired["low"],
        paired_high=paired["high"],
        p=paired["p"],
    )


def _columns(numbers: Floats) -> Floats:
    """Reshape [cells, tasks, columns] to [columns, cells x tasks]."""
    columns: Floats = np.ascontiguousarray(np.moveaxis(numbers, -1, 0)).reshape(numbers.shape[-1], -1)
    return columns


def _ints(values: Iterable[int]) -> Ints:
    return np.fromiter(values, np.int64)
