"""Pruned and dense evaluations on the same rows, and what a table keeps of each pair.

Two measurements are paired when the task's version, its prompt and every row agree, or every token of the windows. That
needs SciPy, which a worker has; reading does not.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from sqlalchemy import ColumnElement, Connection, select

from prunescope.store.evaluations.outcomes import Answered, Outcomes, WindowLosses, unpacked, unpacked_losses
from prunescope.store.evaluations.paired_statistics import compare, compare_losses
from prunescope.store.tables import measurements, outcomes


@dataclass(frozen=True)
class Pair:
    """Two evaluations' right and wrong rows of a task, or their losses of the windows of a text."""

    evaluation: str
    dense_evaluation: str
    task: str
    pruned: NDArray[Any]
    dense: NDArray[Any]


def pairs_of(
    connection: Connection, mine: Mapping[str, Any], outcome: Answered, other: ColumnElement[bool]
) -> Iterable[Pair]:
    """What an evaluation's measurement of a task (`mine`, its row) can be paired with among `other` ones."""
    same = (outcomes.c.evaluation == measurements.c.evaluation) & (outcomes.c.task == measurements.c.task)
    query = (
        select(outcomes.c.evaluation, outcomes.c.correct)
        .join(measurements, same)
        .where(
            other,
            measurements.c.measure == mine["measure"],
            measurements.c.task == mine["task"],
            measurements.c.protocol == mine["protocol"],
            outcomes.c.rows_hash == outcome.rows_hash,
        )
    )
    for evaluation, correct in connection.execute(query):
        ours, theirs = _rows(outcome, correct)
        if mine["base"] is None:
            yield Pair(evaluation, mine["evaluation"], mine["task"], theirs, ours)
        else:
            yield Pair(mine["evaluation"], evaluation, mine["task"], ours, theirs)


def _rows(outcome: Answered, kept: bytes) -> tuple[NDArray[Any], NDArray[Any]]:
    """Two models' rows or windows, the second's out of the database."""
    match outcome:
        case Outcomes(correct=correct):
            return correct, unpacked(kept, len(correct))
        case WindowLosses(nlls=nlls):
            return nlls, unpacked_losses(kept)


def compared(pairs: Sequence[Pair]) -> list[dict[str, Any]]:
    """The rows of `pairings`, a text of a single window left out: it has no interval."""
    tasks = [pair for pair in pairs if pair.dense.dtype == np.bool_]
    texts = [pair for pair in pairs if pair.dense.dtype != np.bool_ and len(pair.dense) > 1]
    return [*(_compared_rows(tasks) if tasks else []), *map(_compared_windows, texts)]


def _compared_windows(pair: Pair) -> dict[str, Any]:
    found = compare_losses(pair.pruned, pair.dense)
    return {
        "evaluation": pair.evaluation,
        "task": pair.task,
        "dense_evaluation": pair.dense_evaluation,
        "rows": len(pair.dense),
        "both_right": found.same,
        "newly_wrong": found.worse,
        "newly_right": found.better,
        "difference": found.difference,
        "low": found.low,
        "high": found.high,
        "p": found.p,
    }


def _compared_rows(pairs: Sequence[Pair]) -> list[dict[str, Any]]:
    """All of their statistics at once."""
    rows, both, wrong, right = (
        np.asarray(counts)
        for counts in zip(
            *(
                (
                    len(pair.dense),
                    np.count_nonzero(pair.dense & pair.pruned),
                    np.count_nonzero(pair.dense & ~pair.pruned),
                    np.count_nonzero(pair.pruned & ~pair.dense),
                )
                for pair in pairs
            ),
            strict=True,
        )
    )
    found = compare(rows, wrong, right)
    return [
        {
            "evaluation": pair.evaluation,
            "task": pair.task,
            "dense_evaluation": pair.dense_evaluation,
            "rows": int(rows[i]),
            "both_right": int(both[i]),
            "newly_wrong": int(wrong[i]),
            "newly_right": int(right[i]),
            "difference": float(found.difference[i]),
            "low": float(found.low[i]),
            "high": float(found.high[i]),
            "p": float(found.p[i]),
        }
        for i, pair in enumerate(pairs)
    ]
