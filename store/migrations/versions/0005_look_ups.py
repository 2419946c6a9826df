"""Adds indexes for frequent queries: the models that a record names, and the artefact that a job makes."""

from typing import Any

import sqlalchemy as sa
from alembic import op

from prunescope.jobs.references import named_models

revision = "0005"
down_revision = "0004"
branch_labels = None
depends_on = None

_AT_ONCE = 200
_ID_LENGTH = 16


def upgrade() -> None:
    op.add_column("jobs", sa.Column("artefact", sa.String(_ID_LENGTH), nullable=False, server_default=""))
    jobs = sa.table("jobs", sa.column("artefact", sa.String), sa.column("fingerprint", sa.String))
    op.execute(sa.update(jobs).values(artefact=sa.func.substr(jobs.c.fingerprint, 1, _ID_LENGTH)))
    op.create_index("ix_jobs_artefact", "jobs", ["artefact"])
    record_models = op.create_table(
        "record_models",
        sa.Column("kind", sa.String(16), nullable=False),
        sa.Column("id", sa.String(16), nullable=False),
        sa.Column("position", sa.Integer, nullable=False, autoincrement=False),
        sa.Column("field", sa.String(16), nullable=False),
        sa.Column("model", sa.Text, nullable=False),
        sa.PrimaryKeyConstraint("kind", "id", "position", name="pk_record_models"),
    )
    connection = op.get_bind()
    records = sa.table("records", sa.column("kind"), sa.column("id"), sa.column("spec", sa.JSON))
    keys = connection.execute(sa.select(records.c.kind, records.c.id)).all()
    for start in range(0, len(keys), _AT_ONCE):
        some = sa.tuple_(records.c.kind, records.c.id).in_([tuple(key) for key in keys[start : start + _AT_ONCE]])
        found = connection.execute(sa.select(records).where(some)).all()
        if rows := [row for kind, id, spec in found for row in _rows(kind, id, spec)]:
            op.bulk_insert(record_models, rows)
    op.create_index("ix_record_models_model_kind", "record_models", ["model", "kind"])


def downgrade() -> None:
    op.drop_table("record_models")
    op.drop_index("ix_jobs_artefact", "jobs")
    op.drop_column("jobs", "artefact")


def _rows(kind: str, id: str, spec: dict[str, Any]) -> list[dict[str, Any]]:
    return [
        {"kind": kind, "id": id, "position": position, "field": field, "model": model}
        for position, (field, model) in enumerate(named_models(spec))
    ]
