"""Training runs: the model that came of one, and what a slice tells while it works"""

import sqlalchemy as sa
from alembic import op

revision = "0012"
down_revision = "0011"


def upgrade() -> None:
    op.add_column("jobs", sa.Column("model", sa.String(200)))
    op.add_column("items", sa.Column("live", sa.JSON))


def downgrade() -> None:
    op.drop_column("items", "live")
    op.drop_column("jobs", "model")
