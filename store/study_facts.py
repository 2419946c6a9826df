"""The facts of a study as arrays, for tables that are computed from all of them at once."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from jobs.documents import JobState

if TYPE_CHECKING:
    from store.study_table import Fact

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]
Bools = NDArray[np.bool_]

STATES = (JobState.RUNNING, JobState.QUEUED, JobState.FAILED, JobState.CANCELLED, JobState.SUCCEEDED)
"""What a person would say of several cells is the first of these that one of them is in: running while one runs, failed
as soon as all have ended and one failed."""

_NOTHING = (None,) * 9


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

    @classmethod
    def of(cls, facts: Sequence["Fact"], axes: Mapping[str, Sequence[str]]) -> "FactArrays":
        """The arrays of some facts whose labels are all on the axes."""
        measured = _floats([fact.measured or _NOTHING[:6] for fact in facts], 6)
        paired = _floats([fact.pairing[1:] if fact.pairing else _NOTHING[:8] for fact in facts], 8)
        dense = _floats([(fact.dense,) for fact in facts], 1)[0]
        places = {axis: {label: place for place, label in enumerate(labels)} for axis, labels in axes.items()}
        models: dict[str | None, int] = {}
        return cls(
            codes={axis: _ints([at[fact.label(axis)] for fact in facts]) for axis, at in places.items()},
            state=_ints([STATES.index(fact.cell.state) for fact in facts]),
            pruned=_ints([models.setdefault(fact.cell.pruned, len(models)) for fact in facts]),
            accuracy=measured[0],
            low=measured[1],
            high=measured[2],
            rows=measured[3],
            chance=measured[4],
            majority=measured[5],
            dense=dense,
            difference=measured[0] - dense,
            newly_wrong=paired[2],
            newly_right=paired[3],
            paired_difference=paired[4],
            paired_low=paired[5],
            paired_high=paired[6],
            p=paired[7],
        )


def _floats(rows: Sequence[Sequence[float | None]], width: int) -> Floats:
    """[width, rows] with NaN for None."""
    return np.array(rows, np.float64).reshape(len(rows), width).T.copy()


def _ints(values: Sequence[int]) -> Ints:
    return np.array(values, np.int64)
