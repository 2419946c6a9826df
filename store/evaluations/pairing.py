"""Finds evaluations of a pruned and a dense model on the same rows, and computes the statistics of each pair.

Two results are paired if the task's version, its prompt and all rows agree, or, for a text, all tokens of the windows.
The statistics need SciPy, which a worker has; reading stored pairings does not.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray
from sqlalchemy import ColumnElement, Connection, select

from prunescope.store.evaluations.labels import Floats, Ints, LabelScores
from prunescope.store.evaluations.outcomes import (
    Answered,
    Outcomes,
    WindowLosses,
    unpacked,
    unpacked_losses,
    unpacked_scores,
)
from prunescope.store.evaluations.paired_auc import compare_auc
from prunescope.store.evaluations.paired_statistics import compare, compare_losses
from prunescope.store.evaluations.values import Pairing
from prunescope.store.tables import outcomes


class PairedScores(NamedTuple):
    """The scores of two models on a task with fixed labels, each [rows, labels], and the right labels [rows]."""

    pruned: Floats
    dense: Floats
    right: Ints

    @property
    def swapped(self) -> "PairedScores":
        """The same with the two models exchanged."""
        return PairedScores(self.dense, self.pruned, self.right)


@dataclass(frozen=True)
class Pair:
    """The results of two evaluations on a task or a text: `pruned` and `dense` are whether each row is correct (bool
    [rows]) or the loss of each window (float64 [windows]). `labels`: of a task with fixed labels, the scores of both
    models, if they are stored."""

    evaluation: str
    dense_evaluation: str
    task: str
    pruned: NDArray[Any]
    dense: NDArray[Any]
    labels: PairedScores | None = None


def pairs_of(
    connection: Connection, mine: Mapping[str, Any], outcome: Answered, other: ColumnElement[bool]
) -> Iterable[Pair]:
    """Yield the pairs of an evaluation with those stored outcomes that fulfil the condition `other` and are on the same
    rows or windows. `mine` is the evaluation's row of the table `outcomes` for one task, and `outcome` its contents."""
    query = select(outcomes.c.evaluation, outcomes.c.correct, outcomes.c.scores).where(
        other,
        outcomes.c.task == mine["task"],
        outcomes.c.protocol == mine["protocol"],
        outcomes.c.rows_hash == mine["rows_hash"],
    )
    for evaluation, correct, scores in connection.execute(query):
        ours, theirs = _rows(outcome, correct)
        labels = _scores(outcome, scores)
        if mine["base"] is None:
            yield Pair(evaluation, mine["evaluation"], mine["task"], theirs, ours, labels and labels.swapped)
        else:
            yield Pair(mine["evaluation"], evaluation, mine["task"], ours, theirs, labels)


def _rows(outcome: Answered, kept: bytes) -> tuple[NDArray[Any], NDArray[Any]]:
    """(results of `outcome`, results of the other evaluation from its stored bytes)."""
    match outcome:
        case Outcomes(correct=correct):
            return correct, unpacked(kept, len(correct))
        case WindowLosses(nlls=nlls):
            return nlls, unpacked_losses(kept)


def _scores(outcome: Answered, kept: bytes | None) -> PairedScores | None:
    """The scores of `outcome` and those of the other evaluation from its stored bytes; None if one has none."""
    match outcome:
        case Outcomes(labels=LabelScores(scores=scores, right=right)) if kept is not None:
            return PairedScores(scores, unpacked_scores(kept, len(right)), right)
        case _:
            return None


def compared_auc(pairs: Sequence[Pair]) -> list[tuple[Pair, Pairing]]:
    """The pairs with scores of fixed labels, each with the statistics of their AUCs and the changed rows. Those with a
    label that is right in a single row are skipped, since they have no interval."""
    found = [(pair, compare_auc(*pair.labels)) for pair in pairs if pair.labels is not None]
    known = [(pair, auc) for pair, auc in found if auc is not None]
    rows = _compared_rows([pair for pair, _ in known]) if known else []
    return [
        (pair, counted._replace(difference=auc.difference, low=auc.low, high=auc.high, p=auc.p))
        for (pair, auc), (_, counted) in zip(known, rows, strict=True)
    ]


def compared(pairs: Sequence[Pair]) -> list[tuple[Pair, Pairing]]:
    """Each pair with its statistics, tasks first. Texts with a single window are skipped, since they have no
    interval."""
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
    """Each pair of results on tasks with its statistics, computed for all pairs at once."""
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
