"""The layout of measurements and pairings in the database: one row for each evaluation, with a JSON list of tasks and a
block of float64 numbers [tasks, columns].

A study's page needs tens of thousands of numbers at once. With one row for each task the database takes a quarter of a
second to return them; in this layout it takes a hundredth of a second.
"""

import json
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from prunescope.store.evaluations.values import LabelShare, LabelValues, Measurement, Pairing

MEASURED = Measurement._fields
"""The columns of a measurement."""
PAIRED = Pairing._fields[1:]
"""The columns of a pairing, without the dense model's evaluation, which has a database column of its own."""

LABELS = "labels"
"""The value of the column `measure` of a row with the shares of labels. Its tasks are pairs [task, label], and its
numbers [labels, 2] are the shares said and right."""

_NUMBERS = np.dtype("<f8")  # exact for counts too, which are far below 2**53


def pack(found: Mapping[str, Sequence[float | int | None]]) -> dict[str, Any]:
    """The database columns `tasks` and `numbers` for a mapping task -> numbers; None is stored as NaN."""
    return {"tasks": json.dumps([*found]), "numbers": np.array([*found.values()], _NUMBERS).tobytes()}


def unpack(tasks: str, blocks: Iterable[bytes]) -> tuple[list[str], NDArray[np.float64]]:
    """Decode the blocks of database rows whose column `tasks` (a JSON list of names) is the same. Returns the names,
    and the numbers [rows, tasks, columns], with NaN for a missing one."""
    names: list[str] = json.loads(tasks)
    together = [*blocks]
    return names, np.frombuffer(b"".join(together), _NUMBERS).reshape(len(together), len(names), -1)


def pack_labels(found: Mapping[str, LabelValues]) -> dict[str, Any]:
    """The database columns `tasks` and `numbers` for the label shares of each task."""
    shares = [(task, share) for task, values in found.items() for share in values.shares]
    numbers = np.array([(share.said, share.right) for _, share in shares], _NUMBERS)
    return {"tasks": json.dumps([(task, share.label) for task, share in shares]), "numbers": numbers.tobytes()}


def unpack_labels(tasks: str, block: bytes) -> list[tuple[str, LabelShare]]:
    """(task, share) of each label, from the columns that `pack_labels` made."""
    numbers = np.frombuffer(block, _NUMBERS).reshape(-1, 2).tolist()
    return [(task, LabelShare(label, *each)) for (task, label), each in zip(json.loads(tasks), numbers, strict=True)]


def measurement(numbers: Sequence[float]) -> Measurement:
    """The measurement with these numbers, in the order of MEASURED; NaN becomes None."""
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
    """The pairing with this evaluation of the dense model and these numbers, in the order of PAIRED."""
    rows, both, wrong, right, difference, low, high, p = numbers
    return Pairing(dense_evaluation, int(rows), int(both), int(wrong), int(right), difference, low, high, p)
