"""Uploads know what their pictures are by a digest"""

import sqlalchemy as sa
from alembic import op

revision = "0010"
down_revision = "0009"


def upgrade() -> None:
    op.add_column("jobs", sa.Column("index_sha256", sa.String(64)))


def downgrade() -> None:
    op.drop_column("jobs", "index_sha256")
