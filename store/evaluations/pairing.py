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
from prunescope.store.evaluations.values import Pairing
from prunescope.store.tables import outcomes


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
    """What an evaluation's answers to a task (`mine`, its row of `outcomes`) can be paired with among `other` ones."""
    query = select(outcomes.c.evaluation, outcomes.c.correct).where(
        other,
        outcomes.c.task == mine["task"],
        outcomes.c.protocol == mine["protocol"],
        outcomes.c.rows_hash == mine["rows_hash"],
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


def compared(pairs: Sequence[Pair]) -> list[tuple[Pair, Pairing]]:
    """Each pair with its statistics, a text of a single window left out: it has no interval."""
    tasks = [pair for pair in pairs if pair.dense.dtype == np.bool_]
    texts = [pair for pair in pairs if pair.dense.dtype != np.bool_ and len(pair.dense) > 1]
    return [*(_compared_rows(tasks) if tasks else []), *((pair, _compared_windows(pair)) for pair in texts)]


def _compared_windows(pair: Pair) -> Pairing:
    found = compare_losses(pair.pruned, pair.dense)
    return Pairing(
        dense_evaluation=pair.dense_evaluation,
        rows=len(pair.dense),
        both_right=found.same,
        newly_wrong=found.worse,
        newly_right=found.better,
        difference=found.difference,
        low=found.low,
        high=found.high,
        p=found.p,
    )


def _compared_rows(pairs: Sequence[Pair]) -> list[tuple[Pair, Pairing]]:
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
    columns = (rows, both, wrong, right, found.difference, found.low, found.high, found.p)
    numbers = zip(*(column.tolist() for column in columns), strict=True)
    return [(pair, Pairing(pair.dense_evaluation, *each)) for pair, each in zip(pairs, numbers, strict=True)]
