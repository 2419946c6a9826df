"""Measurements and pairings a second time, packed: a row for each evaluation, and one for each that it is paired with.

A study's page needs all of tens of thousands of numbers at once. As rows of `measurements` and `pairings` the database
takes a quarter of a second to hand them out, packed a hundredth. They are written in the transaction that changes those
rows, and never by themselves.
"""

import json
from collections.abc import Iterable, Iterator, Sequence
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray
from sqlalchemy import Connection, delete, insert, literal, select

from prunescope.store.database import in_pieces
from prunescope.store.evaluations.values import Measurement, Pairing
from prunescope.store.tables import measurements, packed, pairings

MEASURED = Measurement._fields
"""The columns of what is measured."""
PAIRED = Pairing._fields[1:]
"""Those of a pairing; with which evaluation stands beside them."""

NOBODY = ""
_NUMBERS = np.dtype("<f8")  # counts too: they are far below 2**53


class Packed(NamedTuple):
    """The numbers of one evaluation in one row. Where `beside` is empty (`NOBODY`): its own measurements, columns
    `MEASURED`. Otherwise `beside` is the id of a dense evaluation: the pairing with it, columns `PAIRED`."""

    evaluation: str
    beside: str
    tasks: str  # a JSON list: the same text for most of a study's evaluations, and read once
    numbers: bytes


def unpack(alike: Sequence[Packed]) -> NDArray[np.float64]:
    """[rows, tasks, columns] of at least one row, all on the same tasks; NaN where a number is not there."""
    numbers = np.frombuffer(b"".join(row.numbers for row in alike), _NUMBERS)
    return numbers.reshape(len(alike), len(tasks_of(alike[0])), -1)


def tasks_of(row: Packed) -> list[str]:
    """The tasks that its numbers are of, in their order."""
    tasks: list[str] = json.loads(row.tasks)
    return tasks


def pack(found: Iterable[Sequence[Any]]) -> Iterator[tuple[str, Packed]]:
    """(measure, packed) from rows (measure, evaluation, beside, task, number, ...) in any order."""
    together: dict[tuple[str, str, str], tuple[list[str], list[Sequence[Any]]]] = {}
    for measure, evaluation, beside, task, *numbers in found:
        tasks, rows = together.setdefault((measure, evaluation, beside), ([], []))
        tasks.append(task)
        rows.append(numbers)
    for (measure, evaluation, beside), (tasks, rows) in together.items():
        yield measure, Packed(evaluation, beside, json.dumps(tasks), np.array(rows, _NUMBERS).tobytes())


def repack(connection: Connection, evaluations: Iterable[str]) -> None:
    """Pack what these evaluations found anew, inside the transaction that changed it."""
    measured = select(
        measurements.c.measure,
        measurements.c.evaluation,
        literal(NOBODY),
        measurements.c.task,
        *(measurements.c[name] for name in MEASURED),
    )
    same = (measurements.c.evaluation == pairings.c.evaluation) & (measurements.c.task == pairings.c.task)
    paired = select(
        measurements.c.measure,
        pairings.c.evaluation,
        pairings.c.dense_evaluation,
        pairings.c.task,
        *(pairings.c[name] for name in PAIRED),
    ).join(measurements, same)
    for ids in in_pieces(evaluations):
        connection.execute(delete(packed).where(packed.c.evaluation.in_(ids)))
        found = [
            *connection.execute(measured.where(measurements.c.evaluation.in_(ids))),
            *connection.execute(paired.where(pairings.c.evaluation.in_(ids))),
        ]
        if found:
            rows = [{"measure": measure, **each._asdict()} for measure, each in pack(found)]
            connection.execute(insert(packed), rows)
