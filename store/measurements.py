"""What evaluations found, a row for each task, and pruned models paired with the dense ones that they were made from.

    measurements   value, 95 % interval, rows, chance, majority
    outcomes       which rows were right, a bit each, and a hash of what was asked
    pairings       pruned and dense on the same rows: newly wrong, newly right, both right; difference, interval, p
    packed         measurements and pairings once more, an evaluation's together (`store/packed.py`)

A perplexity is a measurement too: its task is the text, its rows are predicted tokens. Its outcomes are the losses of
the windows, and its pairing is of these: windows predicted worse, better and the same; difference in nats a token.

All of it is written in the transaction that keeps the evaluation's record. Two measurements are paired when the task's
version, its prompt and every row agree, or every token of the windows: whichever of the two comes later makes the
pairing. That needs SciPy, which a worker has; reading does not.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from sqlalchemy import ColumnElement, Connection, delete, func, insert, select, update

from jobs.documents import ID_LENGTH, JobKind
from jobs.references import PRUNED
from store.database import Database, in_pieces
from store.measured import ACCURACY, PERPLEXITY, Measure, Pairing
from store.outcomes import Answered, Outcomes, WindowLosses, text_key, unpacked, unpacked_losses
from store.packed import Packed, repack
from store.paired_statistics import compare, compare_losses
from store.tables import jobs, measurements, outcomes, packed, pairings, records, revisions, study_cells

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
            select(func.substr(jobs.c.fingerprint, 1, ID_LENGTH))
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


def keep_evaluation(
    connection: Connection,
    evaluation: str,
    spec: Mapping[str, Any],
    summary: Mapping[str, Any],
    found: Mapping[str, Answered],
) -> None:
    """Keep or replace what an evaluation found, inside an exclusive transaction, and pair it with what is there.

    `summary` is its record's, `found` the outcomes of its tasks and texts; without them nothing is paired.
    """
    changed = _remove(connection, evaluation)
    model = spec["model"]
    base = _dense_model(connection, model)
    of = {"evaluation": evaluation, "model": model, "base": base}
    rows = [{**of, **_accuracy(task, result)} for task, result in (summary.get("tasks") or {}).items()]
    rows += [{**of, **_perplexity(text, result)} for text, result in (summary.get("perplexity") or {}).items()]
    if rows:
        connection.execute(insert(measurements), rows)
    if found:
        kept = [
            {"evaluation": evaluation, "task": task, "rows_hash": each.rows_hash, "correct": each.packed}
            for task, each in found.items()
        ]
        connection.execute(insert(outcomes), kept)
        # The dense model's evaluations where this one is a pruned model's, and the other way round.
        other = measurements.c.base == model if base is None else measurements.c.model == base
        pairs = [
            pair for row in rows if row["task"] in found for pair in _pairs(connection, row, found[row["task"]], other)
        ]
        if compared := _compared(pairs):
            connection.execute(insert(pairings), compared)
            changed.update(pair.evaluation for pair in pairs)
    repack(connection, changed)


def count_change(connection: Connection) -> None:
    """Say that what evaluations found has changed: tables that were made of it are made anew."""
    counted = update(revisions).where(revisions.c.name == _REVISION)
    connection.execute(counted.values(number=revisions.c.number + 1))


def remove_evaluation(connection: Connection, evaluation: str) -> None:
    """Remove what an evaluation found, and its pairings."""
    repack(connection, _remove(connection, evaluation))


def _remove(connection: Connection, evaluation: str) -> set[str]:
    """Which evaluations have other findings now, and are to be packed anew."""
    count_change(connection)
    beside = pairings.c.dense_evaluation == evaluation
    changed = {evaluation, *connection.execute(select(pairings.c.evaluation).where(beside)).scalars()}
    for table in (measurements, outcomes, pairings):
        connection.execute(delete(table).where(table.c.evaluation == evaluation))
    connection.execute(delete(pairings).where(beside))
    return changed


def _accuracy(task: str, result: Mapping[str, Any]) -> dict[str, Any]:
    low, high = result.get("interval") or (None, None)
    return {
        "measure": ACCURACY,
        "task": task,
        "protocol": f"version {result.get('version')}, prompt {result.get('prompt_hash')}",
        "value": result["accuracy"],
        "low": low,
        "high": high,
        "rows": result.get("rows"),
        "chance": result.get("chance"),
        "majority": result.get("majority"),
    }


def _perplexity(text: str, result: Mapping[str, Any]) -> dict[str, Any]:
    low, high = result.get("interval") or (None, None)
    return {
        "measure": PERPLEXITY,
        "task": text_key(text),
        "protocol": f"{result['windows']} windows of {result['seqlen']} tokens",
        "value": result["perplexity"],
        "low": low,
        "high": high,
        "rows": result["tokens"],
        "chance": None,
        "majority": None,
    }


def _dense_model(connection: Connection, model: str) -> str | None:
    """What a pruned model was made from in the end; None for a dense model and where that is not known."""
    seen: set[str] = set()
    reference: str | None = model
    while reference is not None and reference.startswith(PRUNED) and reference not in seen:
        seen.add(reference)
        made = (records.c.kind == "model") & (records.c.id == reference.removeprefix(PRUNED))
        spec = connection.execute(select(records.c.spec).where(made)).scalar_one_or_none()
        reference = None if spec is None else spec["model"]
    return None if reference == model or (reference or PRUNED).startswith(PRUNED) else reference


@dataclass(frozen=True)
class _Pair:
    evaluation: str
    dense_evaluation: str
    task: str
    pruned: NDArray[Any]
    dense: NDArray[Any]


def _pairs(
    connection: Connection, mine: Mapping[str, Any], outcome: Answered, other: ColumnElement[bool]
) -> Iterable[_Pair]:
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
            yield _Pair(evaluation, mine["evaluation"], mine["task"], theirs, ours)
        else:
            yield _Pair(mine["evaluation"], evaluation, mine["task"], ours, theirs)


def _rows(outcome: Answered, kept: bytes) -> tuple[NDArray[Any], NDArray[Any]]:
    """Two models' rows or windows, the second's out of the database."""
    match outcome:
        case Outcomes(correct=correct):
            return correct, unpacked(kept, len(correct))
        case WindowLosses(nlls=nlls):
            return nlls, unpacked_losses(kept)


def _compared(pairs: Sequence[_Pair]) -> list[dict[str, Any]]:
    """The rows of `pairings`."""
    tasks = [pair for pair in pairs if pair.dense.dtype == np.bool_]
    texts = [pair for pair in pairs if pair.dense.dtype != np.bool_ and len(pair.dense) > 1]
    return [*(_compared_rows(tasks) if tasks else []), *map(_compared_windows, texts)]


def _compared_windows(pair: _Pair) -> dict[str, Any]:
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


def _compared_rows(pairs: Sequence[_Pair]) -> list[dict[str, Any]]:
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
