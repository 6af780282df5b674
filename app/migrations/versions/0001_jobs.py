"""Jobs, items and rates"""

import sqlalchemy as sa
from alembic import op

revision = "0001"
down_revision = None

STATUSES = (
    "queued",
    "running",
    "packaging",
    "succeeded",
    "failed",
    "cancelling",
    "cancelled",
    "expired",
)


def upgrade() -> None:
    op.create_table(
        "jobs",
        sa.Column("id", sa.String(40), primary_key=True),
        sa.Column("kind", sa.String(20), nullable=False),
        sa.Column("status", sa.String(20), nullable=False),
        sa.Column("request", sa.JSON, nullable=False),
        sa.Column("package_digest", sa.String(64), nullable=False),
        sa.Column("count", sa.Integer, nullable=False),
        sa.Column("shard_pairs", sa.Integer, nullable=False),
        sa.Column("max_attempts", sa.Integer, nullable=False),
        sa.Column("archive_key", sa.String(200)),
        sa.Column("archive_bytes", sa.BigInteger),
        sa.Column("archive_sha256", sa.String(64)),
        sa.Column("environment", sa.JSON),
        sa.Column("error", sa.JSON),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
        *(sa.Column(f"{status}_at", sa.DateTime(timezone=True)) for status in STATUSES),
        sa.Column("deleted_at", sa.DateTime(timezone=True)),
        sa.Column("purged_at", sa.DateTime(timezone=True)),
    )
    op.create_index("ix_jobs_status_created_at", "jobs", ["status", "created_at"])
    op.create_index("ix_jobs_created_at_id", "jobs", ["created_at", "id"])
    op.create_table(
        "items",
        sa.Column("id", sa.BigInteger().with_variant(sa.Integer, "sqlite"), primary_key=True),
        sa.Column("job_id", sa.String(40), sa.ForeignKey("jobs.id"), nullable=False),
        sa.Column("kind", sa.String(20), nullable=False),
        sa.Column("ordinal", sa.Integer, nullable=False),
        sa.Column("first", sa.Integer, nullable=False),
        sa.Column("count", sa.Integer, nullable=False),
        sa.Column("state", sa.String(20), nullable=False),
        sa.Column("attempt", sa.Integer, nullable=False),
        sa.Column("failures", sa.Integer, nullable=False),
        sa.Column("worker_id", sa.String(200)),
        sa.Column("lease_until", sa.DateTime(timezone=True)),
        sa.Column("progress", sa.Integer, nullable=False),
        sa.Column("result", sa.JSON),
        sa.Column("error", sa.JSON),
    )
    op.create_index("ix_items_job_id_ordinal", "items", ["job_id", "ordinal"], unique=True)
    op.create_index("ix_items_job_id_state_ordinal", "items", ["job_id", "state", "ordinal"])
    op.create_index("ix_items_state_lease_until", "items", ["state", "lease_until"])
    op.create_table(
        "rates",
        sa.Column("model", sa.String(200), primary_key=True),
        sa.Column("resolution", sa.Integer, primary_key=True),
        sa.Column("seconds_per_pair", sa.Double, nullable=False),
        sa.Column("bytes_per_pair", sa.Double, nullable=False),
    )


def downgrade() -> None:
    for table in ("rates", "items", "jobs"):
        op.drop_table(table)
