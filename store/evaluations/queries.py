"""Reads the results of evaluations, and the pairings of pruned models with their dense models.

    measurements   value, 95 % interval, rows, chance, majority
    pairings       pruned and dense on the same rows: newly wrong, newly right, both right; difference, interval, p
    labels         in `measurements` too, for tasks with fixed labels: shares said and right of each label
    outcomes       whether each row was answered correctly, one bit each, the scores of fixed labels, and a hash of the
                   rows

A perplexity is a measurement too: its task is the text, and its rows are predicted tokens. Its outcomes are the losses
of the windows. Its pairing compares these: the numbers of windows with a higher, lower and equal loss of the pruned
model, and the difference in nats per token.

AUC, prior shift and adjusted accuracy of tasks with fixed labels are measurements with measures of their own, and the
differences of AUCs are pairings (`store/evaluations/paired_auc.py`). The row with the measure `labels` exists for every
evaluation with accuracies; it is empty if no task has fixed labels.

How a task was measured (version, prompt, windows) is in the evaluation's record. `store/evaluations/writing.py` writes
the tables; `store/evaluations/pairing.py` computes the pairings.
"""

from collections import defaultdict
from collections.abc import Collection, Iterable
from datetime import datetime
from typing import TypeAlias

from sqlalchemy import Connection, exists, select, update

from prunescope.jobs.documents import JobKind
from prunescope.store.database import Database, in_pieces
from prunescope.store.evaluations.packed import LABELS, measurement, pairing, unpack, unpack_labels
from prunescope.store.evaluations.values import (
    ACCURACY,
    ADJUSTED,
    AUC,
    PERPLEXITY,
    LabelShare,
    LabelValues,
    Measure,
    Measurement,
    Pairing,
)
from prunescope.store.tables import jobs, measurements, outcomes, pairings, records, revisions, study_cells

_REVISION = "measurements"

Measured: TypeAlias = tuple[str, str, bytes]
"""(evaluation, tasks, numbers): measurements of an evaluation, packed as in `store/evaluations/packed.py`."""
Paired: TypeAlias = tuple[str, str, str, bytes]
"""(evaluation, dense model's evaluation, tasks, numbers): pairings of an evaluation, packed in the same way."""


class Measurements:
    """Measurements and pairings of all evaluations of an installation."""

    def __init__(self, database: Database) -> None:
        self.database = database

    def values_of(self, evaluations: Iterable[str]) -> dict[tuple[str, str], Measurement]:
        """(evaluation, task or text) -> accuracy or perplexity, for all tasks and texts of these evaluations."""
        query = select(measurements.c.evaluation, measurements.c.tasks, measurements.c.numbers)
        found: dict[tuple[str, str], Measurement] = {}
        with self.database.reading() as connection:
            for ids in in_pieces(evaluations):
                of = measurements.c.measure.in_((ACCURACY, PERPLEXITY)) & measurements.c.evaluation.in_(ids)
                for evaluation, tasks, block in connection.execute(query.where(of)):
                    names, numbers = unpack(tasks, [block])
                    for task, each in zip(names, numbers[0].tolist(), strict=True):
                        found[evaluation, task] = measurement(each)
        return found

    def labels_of(self, evaluations: Iterable[str]) -> dict[tuple[str, str], LabelValues]:
        """(evaluation, task) -> label values, for the tasks with fixed labels of these evaluations."""
        query = select(measurements.c.evaluation, measurements.c.measure, measurements.c.tasks, measurements.c.numbers)
        of_labels = measurements.c.measure.in_((AUC, ADJUSTED, LABELS))
        found: dict[str, dict[tuple[str, str], Measurement]] = {AUC: {}, ADJUSTED: {}}
        shares: dict[tuple[str, str], list[LabelShare]] = defaultdict(list)
        with self.database.reading() as connection:
            for ids in in_pieces(evaluations):
                rows = connection.execute(query.where(of_labels, measurements.c.evaluation.in_(ids)))
                for evaluation, measure, tasks, block in rows:
                    if measure == LABELS:
                        for task, share in unpack_labels(tasks, block):
                            shares[evaluation, task].append(share)
                        continue
                    names, numbers = unpack(tasks, [block])
                    for task, each in zip(names, numbers[0].tolist(), strict=True):
                        found[measure][evaluation, task] = measurement(each)
        return {
            key: LabelValues(
                tuple(some),
                found[AUC][key].rows or 0,
                found[AUC][key].value,
                found[AUC][key].interval,
                found[ADJUSTED][key].value,
            )
            for key, some in shares.items()
        }

    def pairings_of(
        self, evaluations: Iterable[str], measures: Collection[Measure] = (ACCURACY, PERPLEXITY)
    ) -> dict[tuple[str, str], Pairing]:
        """(evaluation, task or text) -> pairing with the dense model's evaluation, the newest one if several are on the
        same rows. Evaluations that were deleted are ignored. `measures` has at most one measure of a task."""
        paired: list[Paired] = []
        made: dict[str, datetime] = {}
        with self.database.reading() as connection:
            for ids in in_pieces(evaluations):
                query = select(*_PAIRED).where(pairings.c.evaluation.in_(ids), pairings.c.measure.in_(measures))
                paired += [(name, dense, tasks, block) for name, dense, tasks, block in connection.execute(query)]
            # Not a join, for which SQLite would read every evaluation of the installation for each requested one.
            for ids in in_pieces(dense for _, dense, *_ in paired):
                of = (records.c.kind == "evaluation") & records.c.id.in_(ids)
                for id, at in connection.execute(select(records.c.id, records.c.created_at).where(of)):
                    made[id] = at
        found: dict[tuple[str, str], Pairing] = {}
        there = (row for row in paired if row[1] in made)
        for evaluation, dense, tasks, block in sorted(there, key=lambda row: (made[row[1]], row[1])):
            names, numbers = unpack(tasks, [block])
            for task, each in zip(names, numbers[0].tolist(), strict=True):
                found[evaluation, task] = pairing(dense, each)
        return found

    def of_study(self, study_job: str, measure: Measure = ACCURACY) -> tuple[list[Measured], list[Paired]]:
        """(measurements, pairings) of the cells of a study, packed. `study_job` is the id of the study's job."""
        cells = (
            select(jobs.c.artefact)
            .join(study_cells, study_cells.c.job == jobs.c.id)
            .where(study_cells.c.study == study_job, jobs.c.kind == JobKind.EVALUATE)
        )
        measured = select(*_MEASURED).where(measurements.c.measure == measure, measurements.c.evaluation.in_(cells))
        paired = select(*_PAIRED).where(pairings.c.measure == measure, pairings.c.evaluation.in_(cells))
        with self.database.reading() as connection:
            return (
                [(name, tasks, numbers) for name, tasks, numbers in connection.execute(measured)],
                [(name, dense, tasks, numbers) for name, dense, tasks, numbers in connection.execute(paired)],
            )

    def has_labels(self, study_job: str) -> bool:
        """Whether any evaluation of a study's cells has a task with fixed labels. `study_job` is the id of the study's
        job."""
        cells = (
            select(jobs.c.artefact)
            .join(study_cells, study_cells.c.job == jobs.c.id)
            .where(study_cells.c.study == study_job, jobs.c.kind == JobKind.EVALUATE)
        )
        of_labels = select(measurements.c.evaluation).where(
            measurements.c.measure == AUC, measurements.c.evaluation.in_(cells)
        )
        with self.database.reading() as connection:
            return connection.execute(of_labels.limit(1)).first() is not None

    def revision(self) -> int:
        """A number that changes with every change of measurements or pairings, for validating cached data."""
        query = select(revisions.c.number).where(revisions.c.name == _REVISION)
        with self.database.reading() as connection:
            number: int = connection.execute(query).scalar_one()
        return number

    def without_outcomes(self) -> list[str]:
        """Ids of the evaluations with accuracies but without outcomes, which the first version did not store, and of
        those with an AUC but without scores of labels, which later versions did not store."""
        there = exists().where(outcomes.c.evaluation == measurements.c.evaluation)
        unscored = (measurements.c.measure == AUC) & ~there.where(outcomes.c.scores.is_not(None))
        query = select(measurements.c.evaluation).distinct()
        query = query.where(((measurements.c.measure == ACCURACY) & ~there) | unscored)
        with self.database.reading() as connection:
            return [*connection.execute(query.order_by(measurements.c.evaluation)).scalars()]

    def without_labels(self) -> list[str]:
        """Ids of the evaluations with accuracies but without label values, which earlier versions did not store."""
        known = measurements.alias()
        there = exists().where(known.c.evaluation == measurements.c.evaluation, known.c.measure == LABELS)
        query = select(measurements.c.evaluation).where(measurements.c.measure == ACCURACY, ~there)
        with self.database.reading() as connection:
            return [*connection.execute(query.order_by(measurements.c.evaluation)).scalars()]


_MEASURED = (measurements.c.evaluation, measurements.c.tasks, measurements.c.numbers)
_PAIRED = (pairings.c.evaluation, pairings.c.dense_evaluation, pairings.c.tasks, pairings.c.numbers)


def count_change(connection: Connection) -> None:
    """Increment the revision of the measurements, so that cached tables are computed again."""
    counted = update(revisions).where(revisions.c.name == _REVISION)
    connection.execute(counted.values(number=revisions.c.number + 1))
