"""Writing what an evaluation found: its measurements and outcomes, and the pairings with what is there.

All of it is written in the transaction that keeps the evaluation's record. Whichever of a pruned model's evaluation and
the dense one's comes later makes the pairing.
"""

from collections.abc import Mapping
from typing import Any

from sqlalchemy import Connection, delete, insert, select

from prunescope.jobs.references import PRUNED
from prunescope.store.evaluations.outcomes import Answered, text_key
from prunescope.store.evaluations.packed import repack
from prunescope.store.evaluations.pairing import compared, pairs_of
from prunescope.store.evaluations.queries import count_change
from prunescope.store.evaluations.values import ACCURACY, PERPLEXITY
from prunescope.store.tables import measurements, outcomes, pairings, records


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
            pair
            for row in rows
            if row["task"] in found
            for pair in pairs_of(connection, row, found[row["task"]], other)
        ]
        if made := compared(pairs):
            connection.execute(insert(pairings), made)
            changed.update(pair.evaluation for pair in pairs)
    repack(connection, changed)


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
        "protocol": f"{result['windows']} windows of {result['seqlen']} tokens{', with BOS' * bool(result.get('bos'))}",
        "value": result["perplexity"],
        "low": low,
        "high": high,
        "rows": result["tokens"],
        "chance": None,
        "majority": None,
    }


def _dense_model(connection: Connection, model: str) -> str | None:
    """Reference of the dense model that a model was pruned from, over several prunes if need be. None for a dense model
    and where a model on the way is unknown."""
    seen: set[str] = set()
    reference: str | None = model
    while reference is not None and reference.startswith(PRUNED) and reference not in seen:
        seen.add(reference)
        made = (records.c.kind == "model") & (records.c.id == reference.removeprefix(PRUNED))
        spec = connection.execute(select(records.c.spec).where(made)).scalar_one_or_none()
        reference = None if spec is None else spec["model"]
    return None if reference == model or (reference or PRUNED).startswith(PRUNED) else reference
