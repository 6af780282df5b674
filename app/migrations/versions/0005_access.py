"""API keys, jobs have owners, and what each owner has used"""

import sqlalchemy as sa
from alembic import op

revision = "0005"
down_revision = "0004"


def upgrade() -> None:
    op.create_table(
        "api_keys",
        sa.Column("id", sa.String(16), primary_key=True),
        sa.Column("sha256", sa.String(64), nullable=False),
        sa.Column("name", sa.String(100), nullable=False),
        sa.Column("owner", sa.String(100), nullable=False),
        sa.Column("scopes", sa.JSON, nullable=False),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("last_used_at", sa.DateTime(timezone=True)),
        sa.Column("revoked_at", sa.DateTime(timezone=True)),
    )
    op.create_table(
        "allowances",
        sa.Column("owner", sa.String(100), primary_key=True),
        sa.Column("requests", sa.Double, nullable=False),
        sa.Column("counted_at", sa.DateTime(timezone=True), nullable=False),
    )
    op.create_table(
        "usage",
        sa.Column("owner", sa.String(100), primary_key=True),
        sa.Column("day", sa.Date, primary_key=True),
        sa.Column("pairs", sa.BigInteger, nullable=False),
        sa.Column("device_seconds", sa.Double, nullable=False),
    )
    op.add_column("jobs", sa.Column("owner", sa.String(100), nullable=False, server_default=""))
    op.drop_index("ix_jobs_idempotency_key", "jobs")
    op.create_index(
        "ix_jobs_owner_idempotency_key", "jobs", ["owner", "idempotency_key"], unique=True
    )
    op.create_index("ix_jobs_owner_created_at_id", "jobs", ["owner", "created_at", "id"])


def downgrade() -> None:
    op.drop_index("ix_jobs_owner_created_at_id", "jobs")
    op.drop_index("ix_jobs_owner_idempotency_key", "jobs")
    # Without owners a key is unique among all orders, and two owners may have used the same one.
    op.execute("UPDATE jobs SET idempotency_key = NULL WHERE owner <> ''")
    op.create_index("ix_jobs_idempotency_key", "jobs", ["idempotency_key"], unique=True)
    op.drop_column("jobs", "owner")
    for table in ("usage", "allowances", "api_keys"):
        op.drop_table(table)
