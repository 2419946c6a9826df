"""Creates tables of the evaluations' results: measurements, correct rows, and pairings of pruned with dense models.

The measurements of existing evaluations are copied from their records. The correct rows are only in the artefacts; a
worker reads these when it starts (`worker/catching_up.py`).
"""

from typing import Any

import sqlalchemy as sa
from alembic import op

revision = "0002"
down_revision = "0001"
branch_labels = None
depends_on = None

_PRUNED = "pruned:"


def upgrade() -> None:
    measurements = op.create_table(
        "measurements",
        sa.Column("evaluation", sa.String(16), nullable=False),
        sa.Column("measure", sa.String(16), nullable=False),
        sa.Column("task", sa.String(64), nullable=False),
        sa.Column("model", sa.Text, nullable=False),
        sa.Column("base", sa.Text),
        sa.Column("protocol", sa.String(200), nullable=False),
        sa.Column("value", sa.Float, nullable=False),
        sa.Column("low", sa.Float),
        sa.Column("high", sa.Float),
        sa.Column("rows", sa.Integer),
        sa.Column("chance", sa.Float),
        sa.Column("majority", sa.Float),
        sa.PrimaryKeyConstraint("evaluation", "measure", "task", name="pk_measurements"),
    )
    op.create_index("ix_measurements_model_measure_task", "measurements", ["model", "measure", "task"])
    op.create_index("ix_measurements_base_measure_task", "measurements", ["base", "measure", "task"])
    op.create_table(
        "outcomes",
        sa.Column("evaluation", sa.String(16), nullable=False),
        sa.Column("task", sa.String(64), nullable=False),
        sa.Column("rows_hash", sa.String(64), nullable=False),
        sa.Column("correct", sa.LargeBinary, nullable=False),
        sa.PrimaryKeyConstraint("evaluation", "task", name="pk_outcomes"),
    )
    op.create_table(
        "pairings",
        sa.Column("evaluation", sa.String(16), nullable=False),
        sa.Column("task", sa.String(64), nullable=False),
        sa.Column("dense_evaluation", sa.String(16), nullable=False),
        sa.Column("rows", sa.Integer, nullable=False),
        sa.Column("both_right", sa.Integer, nullable=False),
        sa.Column("newly_wrong", sa.Integer, nullable=False),
        sa.Column("newly_right", sa.Integer, nullable=False),
        sa.Column("difference", sa.Float, nullable=False),
        sa.Column("low", sa.Float, nullable=False),
        sa.Column("high", sa.Float, nullable=False),
        sa.Column("p", sa.Float, nullable=False),
        sa.PrimaryKeyConstraint("evaluation", "task", "dense_evaluation", name="pk_pairings"),
    )
    op.create_index("ix_pairings_dense_evaluation", "pairings", ["dense_evaluation"])
    revisions = op.create_table(
        "revisions",
        sa.Column("name", sa.String(32), nullable=False),
        sa.Column("number", sa.Integer, nullable=False),
        sa.PrimaryKeyConstraint("name", name="pk_revisions"),
    )
    op.bulk_insert(revisions, [{"name": "measurements", "number": 0}])
    rows = _measurements(op.get_bind())
    if rows:
        op.bulk_insert(measurements, rows)


def downgrade() -> None:
    for table in ("revisions", "pairings", "outcomes", "measurements"):
        op.drop_table(table)


def _measurements(connection: sa.Connection) -> list[dict[str, Any]]:
    records = sa.table(
        "records", sa.column("kind"), sa.column("id"), sa.column("spec", sa.JSON), sa.column("summary", sa.JSON)
    )
    found = connection.execute(sa.select(records).where(records.c.kind.in_(["model", "evaluation"]))).all()
    made_from = {row.id: row.spec["model"] for row in found if row.kind == "model"}
    return [
        {
            "evaluation": row.id,
            "measure": "accuracy",
            "task": task,
            "model": row.spec["model"],
            "base": _dense_ancestor(row.spec["model"], made_from),
            "protocol": f"version {result.get('version')}, prompt {result.get('prompt_hash')}",
            "value": result["accuracy"],
            "low": result["interval"][0],
            "high": result["interval"][1],
            "rows": result["rows"],
            "chance": result["chance"],
            "majority": result.get("majority"),
        }
        for row in found
        if row.kind == "evaluation"
        for task, result in row.summary.get("tasks", {}).items()
    ]


def _dense_ancestor(model: str, made_from: dict[str, str]) -> str | None:
    """The dense model of a pruned one, through any number of pruned models; None for a dense model, and if a model in
    between is unknown. `made_from`: id of a pruned model -> the model that was pruned."""
    if not model.startswith(_PRUNED):
        return None
    base: str | None = model
    for _ in range(len(made_from) + 1):
        if base is None or not base.startswith(_PRUNED):
            return base
        base = made_from.get(base.removeprefix(_PRUNED))
    return None
