"""Uploads whose bytes come in parts"""

import sqlalchemy as sa
from alembic import op

revision = "0013"
down_revision = "0012"


def upgrade() -> None:
    op.add_column("jobs", sa.Column("parts", sa.JSON))


def downgrade() -> None:
    op.drop_column("jobs", "parts")
