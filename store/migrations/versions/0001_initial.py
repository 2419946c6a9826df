"""Creates the tables of jobs, their logs and dependencies, of studies' cells, records and share links."""

import sqlalchemy as sa
from alembic import op

revision = "0001"
down_revision = None
branch_labels = None
depends_on = None

_KNOWN = sa.text("known AND state IN ('queued', 'running', 'succeeded')")


def upgrade() -> None:
    op.create_table(
        "jobs",
        sa.Column("id", sa.String(32), nullable=False),
        sa.Column("kind", sa.String(16), nullable=False),
        sa.Column("state", sa.String(16), nullable=False),
        sa.Column("spec", sa.JSON, nullable=False),
        sa.Column("fingerprint", sa.String(64), nullable=False),
        sa.Column("known", sa.Boolean, nullable=False),
        sa.Column("forced", sa.Boolean, nullable=False),
        sa.Column("parent", sa.String(32)),
        sa.Column("created_at", sa.DateTime, nullable=False),
        sa.Column("sent_at", sa.DateTime),
        sa.Column("started_at", sa.DateTime),
        sa.Column("finished_at", sa.DateTime),
        sa.Column("attempts", sa.Integer, nullable=False),
        sa.Column("lost_leases", sa.Integer, nullable=False),
        sa.Column("worker", sa.String(200)),
        sa.Column("lease_until", sa.DateTime),
        sa.Column("cancel_requested", sa.Boolean, nullable=False),
        sa.Column("progress", sa.JSON, nullable=False),
        sa.Column("error", sa.JSON),
        sa.Column("result", sa.JSON),
        sa.PrimaryKeyConstraint("id", name="pk_jobs"),
        sa.ForeignKeyConstraint(["parent"], ["jobs.id"], name="fk_jobs_parent"),
    )
    op.create_index("ix_jobs_created_at_id", "jobs", ["created_at", "id"])
    op.create_index("ix_jobs_state", "jobs", ["state"])
    op.create_index("ix_jobs_parent", "jobs", ["parent"])
    op.create_index("uq_jobs_known", "jobs", ["fingerprint"], unique=True, sqlite_where=_KNOWN, postgresql_where=_KNOWN)
    op.create_table(
        "job_log",
        sa.Column("number", sa.Integer, autoincrement=True, nullable=False),
        sa.Column("job", sa.String(32), nullable=False),
        sa.Column("at", sa.DateTime, nullable=False),
        sa.Column("line", sa.Text, nullable=False),
        sa.PrimaryKeyConstraint("number", name="pk_job_log"),
        sa.ForeignKeyConstraint(["job"], ["jobs.id"], name="fk_job_log_job"),
    )
    op.create_index("ix_job_log_job_number", "job_log", ["job", "number"])
    op.create_table(
        "dependencies",
        sa.Column("job", sa.String(32), nullable=False),
        sa.Column("after", sa.String(32), nullable=False),
        sa.PrimaryKeyConstraint("job", "after", name="pk_dependencies"),
        sa.ForeignKeyConstraint(["job"], ["jobs.id"], name="fk_dependencies_job"),
        sa.ForeignKeyConstraint(["after"], ["jobs.id"], name="fk_dependencies_after"),
    )
    op.create_index("ix_dependencies_after", "dependencies", ["after"])
    op.create_table(
        "study_cells",
        sa.Column("study", sa.String(32), nullable=False),
        sa.Column("position", sa.Integer, autoincrement=False, nullable=False),
        sa.Column("job", sa.String(32), nullable=False),
        sa.Column("coordinates", sa.JSON, nullable=False),
        sa.PrimaryKeyConstraint("study", "position", name="pk_study_cells"),
        sa.ForeignKeyConstraint(["study"], ["jobs.id"], name="fk_study_cells_study"),
        sa.ForeignKeyConstraint(["job"], ["jobs.id"], name="fk_study_cells_job"),
    )
    op.create_index("ix_study_cells_job", "study_cells", ["job"])
    op.create_table(
        "records",
        sa.Column("kind", sa.String(16), nullable=False),
        sa.Column("id", sa.String(16), nullable=False),
        sa.Column("job", sa.String(32)),
        sa.Column("spec", sa.JSON, nullable=False),
        sa.Column("summary", sa.JSON, nullable=False),
        sa.Column("created_at", sa.DateTime, nullable=False),
        sa.PrimaryKeyConstraint("kind", "id", name="pk_records"),
        sa.ForeignKeyConstraint(["job"], ["jobs.id"], name="fk_records_job"),
    )
    op.create_index("ix_records_kind_created_at_id", "records", ["kind", "created_at", "id"])
    op.create_table(
        "uses",
        sa.Column("kind", sa.String(16), nullable=False),
        sa.Column("id", sa.String(16), nullable=False),
        sa.Column("used_kind", sa.String(16), nullable=False),
        sa.Column("used_id", sa.String(16), nullable=False),
        sa.PrimaryKeyConstraint("kind", "id", "used_kind", "used_id", name="pk_uses"),
    )
    op.create_index("ix_uses_used_kind_used_id", "uses", ["used_kind", "used_id"])
    op.create_table(
        "shares",
        sa.Column("token", sa.String(64), nullable=False),
        sa.Column("path", sa.Text, nullable=False),
        sa.Column("created_at", sa.DateTime, nullable=False),
        sa.Column("revoked_at", sa.DateTime),
        sa.PrimaryKeyConstraint("token", name="pk_shares"),
    )
    op.create_index("ix_shares_created_at_token", "shares", ["created_at", "token"])


def downgrade() -> None:
    for table in ("shares", "uses", "records", "study_cells", "dependencies", "job_log", "jobs"):
        op.drop_table(table)
