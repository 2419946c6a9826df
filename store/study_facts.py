"""The facts of a study as arrays, for tables that are computed from all of them at once."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from jobs.documents import JobState
from store.measurements import Found, Measurement, Pairing

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]
Bools = NDArray[np.bool_]

STATES = (JobState.RUNNING, JobState.QUEUED, JobState.FAILED, JobState.CANCELLED, JobState.SUCCEEDED)
"""What a person would say of several cells is the first of these that one of them is in: running while one runs, failed
as soon as all have ended and one failed."""

_MEASUREMENT = slice(2, 2 + len(Measurement._fields))
_PAIRING = slice(_MEASUREMENT.stop, _MEASUREMENT.stop + len(Pairing._fields))
_DENSE = _PAIRING.start


class Findings:
    """What is measured: each (evaluation, task) once, with its pairing with the study's own dense evaluation.

    `dense_of`: evaluation -> the dense model's evaluation that it is laid beside.
    """

    def __init__(self, rows: Iterable[Found], dense_of: Mapping[str, str]) -> None:
        self.rows: list[Found] = []
        self.at: dict[tuple[str, str], int] = {}
        paired: list[bool] = []
        for row in rows:
            place, right = (row[0], row[1]), row[_DENSE] is not None and row[_DENSE] == dense_of.get(row[0])
            known = self.at.setdefault(place, len(self.rows))
            if known == len(self.rows):
                self.rows.append(row)
                paired.append(right)
            elif right:  # measured on the same rows in another dense evaluation too
                self.rows[known], paired[known] = row, True
        self.paired = np.array(paired, np.bool_)

    def measurement(self, evaluation: str, task: str) -> Measurement | None:
        """What this evaluation found, if it is there."""
        place = self.at.get((evaluation, task))
        return None if place is None else Measurement(*self.rows[place][_MEASUREMENT])

    def pairing(self, evaluation: str, task: str) -> Pairing | None:
        """This evaluation beside the dense model's on the same rows."""
        place = self.at.get((evaluation, task))
        return None if place is None or not self.paired[place] else Pairing(*self.rows[place][_PAIRING])

    def columns(self) -> tuple[dict[str, Floats], dict[str, Floats]]:
        """The fields of all measurements and of all pairings, [rows + 1]: the last one is NaN, for what is not
        there."""
        fields = [*zip(*self.rows, strict=True)]
        measured = {
            name: _floats(column)
            for name, column in zip(Measurement._fields, fields[_MEASUREMENT] or [()] * 6, strict=True)
        }
        numbers = fields[_PAIRING.start + 1 : _PAIRING.stop] or [()] * 8
        paired = {
            name: np.where(np.append(self.paired, False), _floats(column), np.nan)
            for name, column in zip(Pairing._fields[1:], numbers, strict=True)
        }
        return measured, paired


@dataclass(frozen=True)
class FactArrays:
    """Every array is [facts]; NaN where a number is not there.

    `codes`: axis -> the place of each fact's label on it. `state` are places in `STATES`; `pruned` is the same number
    for facts of the same pruned model.
    """

    codes: Mapping[str, Ints]
    state: Ints
    pruned: Ints
    accuracy: Floats
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
    dense_of: Mapping[str, str],
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
    measured, paired = findings.columns()
    here = _ints(findings.at.get((cell.artefact, task), -1) for cell in cells for task in tasks)
    beside = [dense_of.get(cell.artefact, "") for cell in cells]
    before = _ints(findings.at.get((dense, task), -1) for dense in beside for task in tasks)
    accuracy, dense = measured["value"][here], measured["value"][before]
    return FactArrays(
        codes=codes,
        state=np.repeat(_ints(STATES.index(cell.state) for cell in cells), number),
        pruned=np.repeat(_ints(models.setdefault(cell.pruned, len(models)) for cell in cells), number),
        accuracy=accuracy,
        low=measured["low"][here],
        high=measured["high"][here],
        rows=measured["rows"][here],
        chance=measured["chance"][here],
        majority=measured["majority"][here],
        dense=dense,
        difference=accuracy - dense,
        newly_wrong=paired["newly_wrong"][here],
        newly_right=paired["newly_right"][here],
        paired_difference=paired["difference"][here],
        paired_low=paired["low"][here],
        paired_high=paired["high"][here],
        p=paired["p"][here],
    )


def _floats(column: Sequence[float | None]) -> Floats:
    return np.array([*column, None], np.float64)


def _ints(values: Iterable[int]) -> Ints:
    return np.fromiter(values, np.int64)
