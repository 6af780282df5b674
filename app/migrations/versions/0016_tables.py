"""All tables"""

import sqlalchemy as sa
from alembic import op

revision = "0016"
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


def time(name: str, *, nullable: bool = True) -> sa.Column:
    return sa.Column(name, sa.DateTime(timezone=True), nullable=nullable)


def upgrade() -> None:
    op.create_table(
        "jobs",
        sa.Column("id", sa.String(40), primary_key=True),
        sa.Column("kind", sa.String(20), nullable=False),
        sa.Column("owner", sa.String(100), nullable=False, server_default=""),
        sa.Column("status", sa.String(20), nullable=False),
        sa.Column("request", sa.JSON, nullable=False),
        sa.Column("package_digest", sa.String(64), nullable=False),
        sa.Column("count", sa.Integer, nullable=False),
        sa.Column("shard_pairs", sa.Integer, nullable=False),
        sa.Column("max_attempts", sa.Integer, nullable=False),
        sa.Column("volumes", sa.JSON),
        sa.Column("index_sha256", sa.String(64)),
        sa.Column("parts", sa.JSON),
        sa.Column("model", sa.String(200)),
        sa.Column("environment", sa.JSON),
        sa.Column("stage_seconds", sa.JSON),
        sa.Column("error", sa.JSON),
        sa.Column("idempotency_key", sa.String(255)),
        sa.Column("order_digest", sa.String(64)),
        sa.Column("retention_seconds", sa.Double),
        sa.Column("webhook_url", sa.String(2000)),
        sa.Column("request_id", sa.String(128)),
        sa.Column("traceparent", sa.String(55)),
        time("created_at", nullable=False),
        time("deadline_at"),
        time("expires_at"),
        *(time(f"{status}_at") for status in STATUSES),
        time("deleted_at"),
        time("purged_at"),
    )
    op.create_index("ix_jobs_created_at_id", "jobs", ["created_at", "id"])
    op.create_index("ix_jobs_deadline_at", "jobs", ["deadline_at"])
    op.create_index("ix_jobs_expires_at", "jobs", ["expires_at"])
    op.create_index("ix_jobs_owner_created_at_id", "jobs", ["owner", "created_at", "id"])
    op.create_index(
        "ix_jobs_owner_idempotency_key", "jobs", ["owner", "idempotency_key"], unique=True
    )
    op.create_index("ix_jobs_status_created_at", "jobs", ["status", "created_at"])
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
        time("lease_until"),
        sa.Column("progress", sa.Integer, nullable=False),
        sa.Column("live", sa.JSON),
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
        sa.Column("image_format", sa.String(20), primary_key=True),
        sa.Column("seconds_per_pair", sa.Double, nullable=False),
        sa.Column("bytes_per_pair", sa.Double, nullable=False),
    )
    op.create_table(
        "deliveries",
        sa.Column("id", sa.String(40), primary_key=True),
        sa.Column("job_id", sa.String(40), sa.ForeignKey("jobs.id"), nullable=False),
        sa.Column("event", sa.String(40), nullable=False),
        sa.Column("url", sa.String(2000), nullable=False),
        sa.Column("state", sa.String(20), nullable=False),
        sa.Column("attempts", sa.Integer, nullable=False),
        time("next_attempt_at", nullable=False),
        sa.Column("last_error", sa.String(500)),
        time("created_at", nullable=False),
    )
    op.create_index("ix_deliveries_job_id", "deliveries", ["job_id"])
    op.create_index(
        "ix_deliveries_state_next_attempt_at", "deliveries", ["state", "next_attempt_at"]
    )
    op.create_table(
        "api_keys",
        sa.Column("id", sa.String(16), primary_key=True),
        sa.Column("sha256", sa.String(64), nullable=False),
        sa.Column("name", sa.String(100), nullable=False),
        sa.Column("owner", sa.String(100), nullable=False),
        sa.Column("scopes", sa.JSON, nullable=False),
        time("created_at", nullable=False),
        time("last_used_at"),
        time("revoked_at"),
    )
    op.create_table(
        "allowances",
        sa.Column("owner", sa.String(100), primary_key=True),
        sa.Column("requests", sa.Double, nullable=False),
        time("counted_at", nullable=False),
    )
    op.create_table(
        "usage",
        sa.Column("owner", sa.String(100), primary_key=True),
        sa.Column("day", sa.Date, primary_key=True),
        sa.Column("pairs", sa.BigInteger, nullable=False),
        sa.Column("device_seconds", sa.Double, nullable=False),
    )
    op.create_table(
        "models",
        sa.Column("name", sa.String(63), primary_key=True),
        sa.Column("version", sa.String(20), primary_key=True),
        sa.Column("digest", sa.String(64), nullable=False),
        sa.Column("owner", sa.String(100), nullable=False),
        sa.Column("shipped", sa.Boolean, nullable=False, server_default=sa.false()),
        sa.Column("package", sa.Text, nullable=False),
        sa.Column("bytes", sa.BigInteger, nullable=False),
        time("created_at", nullable=False),
        time("deleted_at"),
        time("purged_at"),
    )
    op.create_index("ix_models_digest", "models", ["digest"], unique=True)
    op.create_table(
        "default_models",
        sa.Column("owner", sa.String(100), primary_key=True),
        sa.Column("model", sa.String(84), nullable=False),
    )


def downgrade() -> None:
    for table in (
        "default_models",
        "models",
        "usage",
        "allowances",
        "api_keys",
        "deliveries",
        "rates",
        "items",
        "jobs",
    ):
        op.drop_table(table)
