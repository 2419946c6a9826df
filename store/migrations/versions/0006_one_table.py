"""Stores measurements only in `measurements`, in one packed row for each evaluation, and no longer in the record's
summary and in a row for each task.

They are read from the records, because records of the earliest versions contain perplexities that no table has. A
result without a value, which no version wrote, is dropped.
"""

import json
from collections import defaultdict
from collections.abc import Iterable, Mapping
from typing import Any

import numpy as np
import sqlalchemy as sa
from alembic import op

from prunescope.store.evaluations.outcomes import text_key

revision = "0006"
down_revision = "0005"
branch_labels = None
depends_on = None

_MEASURED = ("value", "low", "high", "rows", "chance", "majority")
_PAIRED = ("rows", "both_right", "newly_wrong", "newly_right", "difference", "low", "high", "p")
_COUNTS = {"rows", "both_right", "newly_wrong", "newly_right"}
_OF_A_TASK = ("accuracy", "interval", "rows", "chance", "majority")
_OF_A_TEXT = ("perplexity", "interval", "tokens")
_AT_ONCE = 200

_records = sa.table(
    "records", sa.column("kind"), sa.column("id"), sa.column("spec", sa.JSON), sa.column("summary", sa.JSON)
)
_COLUMNS: dict[str, Any] = {
    "evaluation": sa.String(16),
    "measure": sa.String(16),
    "dense_evaluation": sa.String(16),
    "task": sa.String(64),
    "tasks": sa.Text,
    "numbers": sa.LargeBinary,
    "model": sa.Text,
    "protocol": sa.String(200),
}


def upgrade() -> None:
    connection = op.get_bind()
    _add_columns_to_outcomes()
    old = sa.table("pairings", *map(sa.column, ("evaluation", "task", "dense_evaluation", *_PAIRED)))
    paired = connection.execute(sa.select(old).order_by(old.c.evaluation, old.c.task)).all()
    for table in ("packed", "pairings", "measurements"):
        op.drop_table(table)
    measurements = op.create_table(
        "measurements",
        *_columns("evaluation", "measure", "tasks", "numbers"),
        sa.PrimaryKeyConstraint("evaluation", "measure", name="pk_measurements"),
    )
    texts: set[tuple[str, str]] = set()
    for evaluations in _evaluations(connection):
        made = []
        for row in evaluations:
            summary, found = _split_summary(row.summary)
            texts |= {(row.id, text) for text in found["perplexity"]}
            made += [
                {"evaluation": row.id, "measure": measure, **_packed(each)} for measure, each in found.items() if each
            ]
            same = (_records.c.kind == "evaluation") & (_records.c.id == row.id)
            connection.execute(sa.update(_records).where(same).values(summary=summary))
        if made:
            op.bulk_insert(measurements, made)
    pairings = op.create_table(
        "pairings",
        *_columns("evaluation", "dense_evaluation", "measure", "tasks", "numbers"),
        sa.PrimaryKeyConstraint("evaluation", "dense_evaluation", "measure", name="pk_pairings"),
    )
    op.create_index("ix_pairings_dense_evaluation", "pairings", ["dense_evaluation"])
    together: dict[tuple[str, str, str], dict[str, Any]] = defaultdict(dict)
    for evaluation, task, dense, *values in paired:
        measure = "perplexity" if (evaluation, task) in texts else "accuracy"
        together[evaluation, dense, measure][task] = values
    if together:
        rows = [
            {"evaluation": evaluation, "dense_evaluation": dense, "measure": measure, **_packed(each)}
            for (evaluation, dense, measure), each in together.items()
        ]
        op.bulk_insert(pairings, rows)


def downgrade() -> None:
    connection = op.get_bind()
    alone = sa.table("measurements", *map(sa.column, ("evaluation", "measure", "tasks", "numbers")))
    kept = connection.execute(sa.select(alone)).all()
    beside = sa.table("pairings", *map(sa.column, ("evaluation", "dense_evaluation", "measure", "tasks", "numbers")))
    paired = connection.execute(sa.select(beside)).all()
    about = sa.table("outcomes", *map(sa.column, ("evaluation", "task", "base")))
    bases = {row.evaluation: row.base for row in connection.execute(sa.select(about.c.evaluation, about.c.base))}
    for table in ("pairings", "measurements"):
        op.drop_table(table)
    for index in ("ix_outcomes_model_task", "ix_outcomes_base_task"):
        op.drop_index(index, "outcomes")
    for column in ("model", "base", "protocol"):
        op.drop_column("outcomes", column)
    measurements, pairings, packed = _previous_tables()
    found: dict[str, dict[str, dict[str, Any]]] = defaultdict(dict)
    for row in kept:
        found[row.evaluation][row.measure] = _unpacked(row, _MEASURED)
    for evaluations in _evaluations(connection):
        for row in evaluations:
            summary, rows = _restore_summary(row, found[row.id], bases.get(row.id))
            same = (_records.c.kind == "evaluation") & (_records.c.id == row.id)
            connection.execute(sa.update(_records).where(same).values(summary=summary))
            if rows:
                op.bulk_insert(measurements, rows)
    lines = [
        {"evaluation": row.evaluation, "task": task, "dense_evaluation": row.dense_evaluation, **values}
        for row in paired
        for task, values in _unpacked(row, _PAIRED).items()
    ]
    if lines:
        op.bulk_insert(pairings, lines)
    blocks = [
        {
            "evaluation": row.evaluation,
            "measure": row.measure,
            "beside": beside,
            "tasks": row.tasks,
            "numbers": row.numbers,
        }
        for beside, row in [*(("", row) for row in kept), *((row.dense_evaluation, row) for row in paired)]
    ]
    if blocks:
        op.bulk_insert(packed, blocks)


def _add_columns_to_outcomes() -> None:
    """Move the columns `model`, `base` (the dense model) and `protocol` from `measurements` to `outcomes`."""
    connection = op.get_bind()
    for column in ("model", "protocol"):
        op.add_column("outcomes", sa.Column(column, _COLUMNS[column], nullable=False, server_default=""))
    op.add_column("outcomes", sa.Column("base", sa.Text))
    outcomes = sa.table("outcomes", *map(sa.column, ("evaluation", "task", "model", "base", "protocol")))
    old = sa.table("measurements", *map(sa.column, ("evaluation", "task", "model", "base", "protocol")))
    same = (old.c.evaluation == outcomes.c.evaluation) & (old.c.task == outcomes.c.task)
    of = {name: sa.select(old.c[name]).where(same).scalar_subquery() for name in ("model", "base", "protocol")}
    connection.execute(sa.update(outcomes).where(sa.exists().where(same)).values(of))
    op.create_index("ix_outcomes_model_task", "outcomes", ["model", "task"])
    op.create_index("ix_outcomes_base_task", "outcomes", ["base", "task"])


def _columns(*names: str) -> list[sa.Column[Any]]:
    return [sa.Column(name, _COLUMNS[name], nullable=False) for name in names]


def _evaluations(connection: sa.Connection) -> Iterable[list[Any]]:
    """Yield the records of evaluations in batches."""
    of_a_kind = _records.c.kind == "evaluation"
    ids = [*connection.execute(sa.select(_records.c.id).where(of_a_kind)).scalars()]
    for start in range(0, len(ids), _AT_ONCE):
        some = _records.c.id.in_(ids[start : start + _AT_ONCE])
        yield [*connection.execute(sa.select(_records).where(of_a_kind, some))]


def _split_summary(summary: Mapping[str, Any]) -> tuple[dict[str, Any], dict[str, dict[str, Any]]]:
    """(the summary without measured values, measure -> task -> numbers)."""
    rest, found = dict(summary), {}
    for measure, field, columns, named in (
        ("accuracy", "tasks", _OF_A_TASK, str),
        ("perplexity", "perplexity", _OF_A_TEXT, text_key),
    ):
        results = {
            name: each
            for name, each in (summary.get(field) or {}).items()
            if isinstance(each, dict) and each.get(columns[0]) is not None
        }
        rest[field] = {name: {k: v for k, v in each.items() if k not in columns} for name, each in results.items()}
        found[measure] = {named(name): _values(columns, each) for name, each in results.items()}
    return rest, found


def _values(columns: tuple[str, ...], result: Mapping[str, Any]) -> list[float | None]:
    value, _, rows, *others = columns
    low, high = result.get("interval") or (None, None)
    return [result[value], low, high, result.get(rows), *map(result.get, others), *[None] * (2 - len(others))]


def _packed(found: Mapping[str, Any]) -> dict[str, Any]:
    return {"tasks": json.dumps([*found]), "numbers": np.array([*found.values()], "<f8").tobytes()}


def _unpacked(row: Any, columns: tuple[str, ...]) -> dict[str, dict[str, Any]]:
    tasks = json.loads(row.tasks)
    numbers = np.frombuffer(row.numbers, "<f8").reshape(len(tasks), -1).tolist()
    return {
        task: {
            name: None if value != value else int(value) if name in _COUNTS else value
            for name, value in zip(columns, each, strict=True)
        }
        for task, each in zip(tasks, numbers, strict=True)
    }


def _restore_summary(
    row: Any, found: Mapping[str, Any], base: str | None
) -> tuple[dict[str, Any], list[dict[str, Any]]]:
    """(the summary with measured values, the rows of `measurements`) of the previous schema."""
    summary, rows = dict(row.summary), []
    for measure, field in (("accuracy", "tasks"), ("perplexity", "perplexity")):
        results = {}
        for name, how in (row.summary.get(field) or {}).items():
            task = name if measure == "accuracy" else text_key(name)
            each = found[measure][task]
            interval = None if each["low"] is None else [each["low"], each["high"]]
            if measure == "accuracy":
                values = {"accuracy": each["value"], **{key: each[key] for key in ("rows", "chance", "majority")}}
                protocol = f"version {how.get('version')}, prompt {how.get('prompt_hash')}"
            else:
                values = {"perplexity": each["value"], "tokens": each["rows"]}
                bos = ", with BOS" * bool(how.get("bos"))
                protocol = f"{how['windows']} windows of {how['seqlen']} tokens{bos}"
            results[name] = {**how, **values, "interval": interval}
            of = {"evaluation": row.id, "measure": measure, "task": task, "model": row.spec["model"], "base": base}
            rows.append({**of, "protocol": protocol, **each})
        summary[field] = results
    return summary, rows


def _previous_tables() -> tuple[sa.Table, sa.Table, sa.Table]:
    floats = {name: sa.Column(name, sa.Float) for name in ("low", "high", "chance", "majority")}
    measurements = op.create_table(
        "measurements",
        *_columns("evaluation", "measure", "task", "model"),
        sa.Column("base", sa.Text),
        *_columns("protocol"),
        sa.Column("value", sa.Float, nullable=False),
        floats["low"],
        floats["high"],
        sa.Column("rows", sa.Integer),
        floats["chance"],
        floats["majority"],
        sa.PrimaryKeyConstraint("evaluation", "measure", "task", name="pk_measurements"),
    )
    for name in ("model", "base"):
        op.create_index(f"ix_measurements_{name}_measure_task", "measurements", [name, "measure", "task"])
    pairings = op.create_table(
        "pairings",
        *_columns("evaluation", "task", "dense_evaluation"),
        *(sa.Column(name, sa.Integer if name in _COUNTS else sa.Float, nullable=False) for name in _PAIRED),
        sa.PrimaryKeyConstraint("evaluation", "task", "dense_evaluation", name="pk_pairings"),
    )
    op.create_index("ix_pairings_dense_evaluation", "pairings", ["dense_evaluation"])
    packed = op.create_table(
        "packed",
        *_columns("evaluation", "measure"),
        sa.Column("beside", sa.String(16), nullable=False),
        *_columns("tasks", "numbers"),
        sa.PrimaryKeyConstraint("evaluation", "measure", "beside", name="pk_packed"),
    )
    return measurements, pairings, packed
