"""How the database holds measurements and pairings: those of one evaluation in one row, as a JSON list of tasks and a
block of float64 numbers [tasks, columns].

A study's page needs tens of thousands of numbers at once. With a row for each the database takes a quarter of a second
to hand them out, this way a hundredth.
"""

import json
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from prunescope.store.evaluations.values import Measurement, Pairing

MEASURED = Measurement._fields
"""The columns of a measurement."""
PAIRED = Pairing._fields[1:]
"""Those of a pairing; the evaluation that it is with stands beside them."""

_NUMBERS = np.dtype("<f8")  # counts too: they are far below 2**53


def pack(found: Mapping[str, Sequence[float | int | None]]) -> dict[str, Any]:
    """The columns `tasks` and `numbers` of task -> numbers; None becomes NaN."""
    return {"tasks": json.dumps([*found]), "numbers": np.array([*found.values()], _NUMBERS).tobytes()}


def unpack(tasks: str, blocks: Iterable[bytes]) -> tuple[list[str], NDArray[np.float64]]:
    """(tasks, numbers [rows, tasks, columns]) of rows that have the same `tasks`; NaN where a number is not there."""
    names: list[str] = json.loads(tasks)
    together = [*blocks]
    return names, np.frombuffer(b"".join(together), _NUMBERS).reshape(len(together), len(names), -1)


def measurement(numbers: Sequence[float]) -> Measurement:
    """A measurement of its numbers."""
    value, low, high, rows, chance, majority = numbers
    return Measurement(
        value,
        None if low != low else low,
        None if high != high else high,
        None if rows != rows else int(rows),
        None if chance != chance else chance,
        None if majority != majority else majority,
    )


def pairing(dense_evaluation: str, numbers: Sequence[float]) -> Pairing:
    """A pairing of its numbers."""
    rows, both, wrong, right, difference, low, high, p = numbers
    return Pairing(dense_evaluation, int(rows), int(both), int(wrong), int(right), difference, low, high, p)
