"""What a share link shows, and when it was last opened: `title`, `digest` and `opened_at` in `shares`.

Links of earlier versions have no title and no digest: lists show their path, and whether their result was removed.
"""

import sqlalchemy as sa
from alembic import op

revision = "0009"
down_revision = "0008"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.add_column("shares", sa.Column("title", sa.Text))
    op.add_column("shares", sa.Column("digest", sa.String(16)))
    op.add_column("shares", sa.Column("opened_at", sa.DateTime))


def downgrade() -> None:
    for column in ("title", "digest", "opened_at"):
        op.drop_column("shares", column)
