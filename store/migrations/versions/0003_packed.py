"""Copies measurements and pairings into packed rows, one for each evaluation, from which a study with tens of thousands
of measurements is read at once."""

import json
from itertools import groupby
from typing import Any

import numpy as np
import sqlalchemy as sa
from alembic import op

revision = "0003"
down_revision = "0002"
branch_labels = None
depends_on = None

_MEASURED = ("value", "low", "high", "rows", "chance", "majority")
_PAIRED = ("rows", "both_right", "newly_wrong", "newly_right", "difference", "low", "high", "p")


def upgrade() -> None:
    packed = op.create_table(
        "packed",
        sa.Column("evaluation", sa.String(16), nullable=False),
        sa.Column("measure", sa.String(16), nullable=False),
        sa.Column("beside", sa.String(16), nullable=False),
        sa.Column("tasks", sa.Text, nullable=False),
        sa.Column("numbers", sa.LargeBinary, nullable=False),
        sa.PrimaryKeyConstraint("evaluation", "measure", "beside", name="pk_packed"),
    )
    measured = _rows("measurements", [sa.column("measure"), sa.literal("").label("beside")], _MEASURED)
    paired = _rows("pairings", [sa.literal("accuracy").label("measure"), sa.column("dense_evaluation")], _PAIRED)
    if rows := [*measured, *paired]:
        op.bulk_insert(packed, rows)


def downgrade() -> None:
    op.drop_table("packed")


def _rows(table: str, keys: list[Any], numbers: tuple[str, ...]) -> list[dict[str, Any]]:
    columns = [sa.column("evaluation"), *keys, sa.column("task"), *map(sa.column, numbers)]
    query = sa.select(*columns).select_from(sa.table(table)).order_by(*columns[:4])
    found = op.get_bind().execute(query).all()
    packed = []
    for (evaluation, measure, beside), some in groupby(found, key=lambda row: tuple(row[:3])):
        rows = list(some)
        values = np.array([list(row[4:]) for row in rows], "<f8")
        packed.append(
            {
                "evaluation": evaluation,
                "measure": measure,
                "beside": beside,
                "tasks": json.dumps([row[3] for row in rows]),
                "numbers": values.tobytes(),
            }
        )
    return packed
