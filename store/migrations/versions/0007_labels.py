"""Measures of tasks with fixed labels in `measurements`: `auc`, `prior`, `adjusted`, and the shares in `labels`.

The tables stay as they are. Label values are computed from the scores of every row, which are only in the artefacts, so
a worker inserts them when it starts (`worker/catching_up.py`). An earlier version cannot read them.
"""

import sqlalchemy as sa
from alembic import op

revision = "0007"
down_revision = "0006"
branch_labels = None
depends_on = None


def upgrade() -> None:
    pass


def downgrade() -> None:
    measurements = sa.table("measurements", sa.column("measure", sa.String(16)))
    op.execute(sa.delete(measurements).where(measurements.c.measure.in_(("auc", "prior", "adjusted", "labels"))))
