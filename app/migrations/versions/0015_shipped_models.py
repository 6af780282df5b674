"""Shipped models that are kept in storage"""

import sqlalchemy as sa
from alembic import op

revision = "0015"
down_revision = "0014"


def upgrade() -> None:
    shipped = sa.Column("shipped", sa.Boolean, nullable=False, server_default=sa.false())
    op.add_column("models", shipped)


def downgrade() -> None:
    op.drop_column("models", "shipped")
