"""The facts of a study as arrays, for tables that are computed from all of them at once."""

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
"""What a person would say of several cells is the first of these that one of them is in: running while one runs, failed
as soon as all have ended and one failed."""


class Findings:
    """What is measured on a study's tasks: each evaluation once, with its pairing with the study's own dense
    evaluation.

    `dense_of`: evaluation -> the dense model's evaluation that it is laid beside. A perplexity and its interval are
    losses here.
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
        # The last evaluation is none at all: the place of what is not there.
        self.measured = np.full((len(self.at) + 1, len(tasks), len(MEASURED)), np.nan)
        self.paired = np.full((len(self.at) + 1, len(tasks), len(PAIRED)), np.nan)
        self._fill(self.measured, measured)
        beside = (row for row in paired if row[0] in self.at and dense_of.get(row[0]) == row[1])
        own = ((name, names, block) for name, _, names, block in beside)
        self._fill(self.paired, own)
        majority = self.measured[..., MEASURED.index("majority")]
        majority[majority >= 1] = np.nan  # as `telling_majority` says
        if measure == PERPLEXITY:
            values = [MEASURED.index(name) for name in ("value", "low", "high")]
            self.measured[..., values] = np.log(self.measured[..., values])

    def _fill(self, into: Floats, rows: Iterable[Measured]) -> None:
        """Rows on the same tasks are decoded together."""
        alike: dict[str, list[Measured]] = defaultdict(list)
        for row in rows:
            alike[row[1]].append(row)
        for tasks, some in alike.items():
            names, numbers = unpack(tasks, (block for *_, block in some))
            # Tasks that this study has not are another study's, which knows the same evaluation.
            here = [place for place, task in enumerate(names) if task in self._task]
            places = np.ix_([self.at[row[0]] for row in some], [self._task[names[place]] for place in here])
            into[places] = numbers[:, here]

    def measurement(self, evaluation: str, task: str) -> Measurement | None:
        """What this evaluation found, if it is there."""
        numbers = self._numbers(self.measured, evaluation, task)
        return None if numbers[0] != numbers[0] else measurement(numbers)

    def pairing(self, evaluation: str, task: str) -> Pairing | None:
        """This evaluation beside the dense model's on the same rows."""
        numbers = self._numbers(self.paired, evaluation, task)
        return None if numbers[0] != numbers[0] else pairing(self.dense_of[evaluation], numbers)

    def columns(self, evaluations: Sequence[str]) -> tuple[dict[str, Floats], dict[str, Floats], Floats]:
        """(what they found by `MEASURED`, their pairings by `PAIRED`, the dense model's values), each [evaluations x
        tasks]: these evaluations one after the other, each on all tasks."""
        here = self._places(evaluations)
        beside = self._places(self.dense_of.get(name, "") for name in evaluations)
        measured = dict(zip(MEASURED, _columns(self.measured[here]), strict=True))
        paired = dict(zip(PAIRED, _columns(self.paired[here]), strict=True))
        return measured, paired, self.measured[beside, :, MEASURED.index("value")].reshape(-1)

    def _places(self, evaluations: Iterable[str]) -> Ints:
        return _ints(self.at.get(name, -1) for name in evaluations)

    def _numbers(self, table: Floats, evaluation: str, task: str) -> list[float]:
        numbers: list[float] = table[self.at.get(evaluation, -1), self._task[task]].tolist()
        return numbers


@dataclass(frozen=True)
class FactArrays:
    """Every array is [facts]; NaN where a number is not there.

    `value` is an accuracy, or a perplexity's mean loss in nats a token; `dense` and the differences are of the same.
    `codes`: axis -> the place of each fact's label on it. `state` are places in `STATES`; `pruned` is the same number
    for facts of the same pruned model.
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
    """The arrays of the facts of some evaluations (`StudyCell`), one after the other, each on all tasks (task ->
    group)."""
    tasks, number = [*groups], len(groups)
    places = {axis: {label: place for place, label in enumerate(labels)} for axis, labels in axes.items()}
    labels = [cell.labels for cell in cells]
    codes = {
        axis: np.repeat(_ints(at[each[axis]] for each in labels), number)
        for axis, at in places.items()
        if axis not in {"task", "group"}
    }
    codes["task"] = np.tile(_ints(places["task"][task] for task in tasks), len(cells))
    codes["group"] = np.tile(_ints(places["group"][group] for group in groups.values()), len(cells))
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
    """[columns, cells x tasks], of [cells, tasks, columns]."""
    columns: Floats = np.ascontiguousarray(np.moveaxis(numbers, -1, 0)).reshape(numbers.shape[-1], -1)
    return columns


def _ints(values: Iterable[int]) -> Ints:
    return np.fromiter(values, np.int64)
