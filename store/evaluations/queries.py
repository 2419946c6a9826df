"""What evaluations found, a row for each task, and pruned models paired with the dense ones that they were made from.

    measurements   value, 95 % interval, rows, chance, majority
    outcomes       which rows were right, a bit each, and a hash of what was asked
    pairings       pruned and dense on the same rows: newly wrong, newly right, both right; difference, interval, p
    packed         measurements and pairings once more, an evaluation's together (`store/evaluations/packed.py`)

A perplexity is a measurement too: its task is the text, its rows are predicted tokens. Its outcomes are the losses of
the windows, and its pairing is of these: windows predicted worse, better and the same; difference in nats a token.

This module reads; `store/evaluations/writing.py` writes, `store/evaluations/pairing.py` makes the pairings.
"""

from collections.abc import Iterable

from sqlalchemy import Connection, select, update

from prunescope.jobs.documents import JobKind
from prunescope.store.database import Database, in_pieces
from prunescope.store.evaluations.packed import Packed
from prunescope.store.evaluations.values import ACCURACY, PERPLEXITY, Measure, Pairing
from prunescope.store.tables import jobs, measurements, outcomes, packed, pairings, records, revisions, study_cells

_REVISION = "measurements"
_PAIRING = [pairings.c[name] for name in Pairing._fields]


class Measurements:
    """What tables read of evaluations."""

    def __init__(self, database: Database) -> None:
        self.database = database

    def pairings_of(self, evaluations: Iterable[str]) -> dict[tuple[str, str], Pairing]:
        """(evaluation, task) -> the pairing with the dense model's evaluation, the newest where it has several on the
        same rows."""
        dense = (records.c.kind == "evaluation") & (records.c.id == pairings.c.dense_evaluation)
        query = select(pairings.c.evaluation, pairings.c.task, *_PAIRING).join(records, dense)
        found: dict[tuple[str, str], Pairing] = {}
        with self.database.reading() as connection:
            for ids in in_pieces(evaluations):
                chosen = query.where(pairings.c.evaluation.in_(ids)).order_by(records.c.created_at, records.c.id)
                for evaluation, task, *values in connection.execute(chosen).all():
                    found[evaluation, task] = Pairing(*values)
        return found

    def of_study(self, study_job: str, measure: Measure = ACCURACY) -> list[Packed]:
        """What a study's cells have measured, by the id of its job, in one question."""
        cells = (
            select(jobs.c.artefact)
            .join(study_cells, study_cells.c.job == jobs.c.id)
            .where(study_cells.c.study == study_job, jobs.c.kind == JobKind.EVALUATE)
        )
        query = select(*(packed.c[name] for name in Packed._fields)).where(
            packed.c.measure == measure, packed.c.evaluation.in_(cells)
        )
        with self.database.reading() as connection:
            return [Packed(*row) for row in connection.execute(query).all()]

    def revision(self) -> int:
        """A number that is another one after every change of what evaluations found."""
        query = select(revisions.c.number).where(revisions.c.name == _REVISION)
        with self.database.reading() as connection:
            number: int = connection.execute(query).scalar_one()
        return number

    def without_outcomes(self) -> list[str]:
        """Ids of the evaluations that were kept before outcomes were."""
        there = select(outcomes.c.evaluation)
        query = select(measurements.c.evaluation).where(
            measurements.c.measure == ACCURACY, measurements.c.evaluation.not_in(there)
        )
        with self.database.reading() as connection:
            return [*connection.execute(query.distinct().order_by(measurements.c.evaluation)).scalars()]

    def without_perplexities(self) -> list[str]:
        """Ids of the evaluations whose perplexities were kept in their records alone."""
        asked = records.c.spec["perplexity"].as_string().is_not(None)
        there = select(measurements.c.evaluation).where(measurements.c.measure == PERPLEXITY)
        query = select(records.c.id).where(records.c.kind == "evaluation", asked, records.c.id.not_in(there))
        with self.database.reading() as connection:
            return [*connection.execute(query.order_by(records.c.id)).scalars()]


def count_change(connection: Connection) -> None:
    """Say that what evaluations found has changed: tables that were made of it are made anew."""
    counted = update(revisions).where(revisions.c.name == _REVISION)
    connection.execute(counted.values(number=revisions.c.number + 1))
