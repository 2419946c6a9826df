"""Scores of labels in `outcomes`, and pairings with the measure `auc`, which are computed from them.

The scores are only in the artefacts, so a worker inserts them when it starts (`worker/catching_up.py`). An earlier
version would read the pairings as those of accuracies.
"""

import sqlalchemy as sa
from alembic import op

revision = "0008"
down_revision = "0007"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.add_column("outcomes", sa.Column("scores", sa.LargeBinary))


def downgrade() -> None:
    pairings = sa.table("pairings", sa.column("measure", sa.String(16)))
    op.execute(sa.delete(pairings).where(pairings.c.measure == "auc"))
    op.drop_column("outcomes", "scores")
