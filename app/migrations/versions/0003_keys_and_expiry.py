"""Orders can carry an Idempotency-Key, and data sets expire"""

import sqlalchemy as sa
from alembic import op

revision = "0003"
down_revision = "0002"


def upgrade() -> None:
    op.add_column("jobs", sa.Column("idempotency_key", sa.String(255)))
    op.add_column("jobs", sa.Column("order_digest", sa.String(64)))
    op.add_column("jobs", sa.Column("retention_seconds", sa.Double))
    op.add_column("jobs", sa.Column("expires_at", sa.DateTime(timezone=True)))
    op.create_index("ix_jobs_idempotency_key", "jobs", ["idempotency_key"], unique=True)
    op.create_index("ix_jobs_expires_at", "jobs", ["expires_at"])


def downgrade() -> None:
    for index in ("ix_jobs_expires_at", "ix_jobs_idempotency_key"):
        op.drop_index(index, "jobs")
    for column in ("expires_at", "retention_seconds", "order_digest", "idempotency_key"):
        op.drop_column("jobs", column)
