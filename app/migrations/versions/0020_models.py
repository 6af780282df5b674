"""Models that are kept in storage, and the defaults that owners have chosen"""

import sqlalchemy as sa
from alembic import op

revision = "0020"
down_revision = "0006"


def upgrade() -> None:
    op.create_table(
        "models",
        sa.Column("name", sa.String(63), primary_key=True),
        sa.Column("version", sa.String(20), primary_key=True),
        sa.Column("digest", sa.String(64), nullable=False),
        sa.Column("owner", sa.String(100), nullable=False),
        sa.Column("package", sa.Text, nullable=False),
        sa.Column("bytes", sa.BigInteger, nullable=False),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("deleted_at", sa.DateTime(timezone=True)),
        sa.Column("purged_at", sa.DateTime(timezone=True)),
    )
    op.create_index("ix_models_digest", "models", ["digest"], unique=True)
    op.create_table(
        "default_models",
        sa.Column("owner", sa.String(100), primary_key=True),
        sa.Column("model", sa.String(84), nullable=False),
    )


def downgrade() -> None:
    op.drop_table("default_models")
    op.drop_table("models")
