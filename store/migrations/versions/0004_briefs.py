"""Adds briefs, shortened copies of specs, which lists of jobs read instead of the specs."""

import sqlalchemy as sa
from alembic import op

from prunescope.jobs.briefs import brief_of

revision = "0004"
down_revision = "0003"
branch_labels = None
depends_on = None

_AT_ONCE = 200


def upgrade() -> None:
    op.add_column("jobs", sa.Column("brief", sa.JSON, nullable=True))
    connection = op.get_bind()
    jobs = sa.table("jobs", sa.column("id", sa.String), sa.column("spec", sa.JSON), sa.column("brief", sa.JSON))
    ids = list(connection.execute(sa.select(jobs.c.id)).scalars())
    for start in range(0, len(ids), _AT_ONCE):
        some = ids[start : start + _AT_ONCE]
        for id, spec in connection.execute(sa.select(jobs.c.id, jobs.c.spec).where(jobs.c.id.in_(some))).all():
            connection.execute(sa.update(jobs).where(jobs.c.id == id).values(brief=brief_of(spec)))


def downgrade() -> None:
    op.drop_column("jobs", "brief")
