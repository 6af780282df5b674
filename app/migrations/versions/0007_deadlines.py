"""Orders can carry a deadline"""

import sqlalchemy as sa
from alembic import op

revision = "0007"
down_revision = "0006"


def upgrade() -> None:
    op.add_column("jobs", sa.Column("deadline_at", sa.DateTime(timezone=True)))
    op.create_index("ix_jobs_deadline_at", "jobs", ["deadline_at"])


def downgrade() -> None:
    op.drop_index("ix_jobs_deadline_at", "jobs")
    op.drop_column("jobs", "deadline_at")
