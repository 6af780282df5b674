"""Jobs know what each stage of their finished shards took"""

import sqlalchemy as sa
from alembic import op

revision = "0006"
down_revision = "0005"


def upgrade() -> None:
    op.add_column("jobs", sa.Column("stage_seconds", sa.JSON))


def downgrade() -> None:
    op.drop_column("jobs", "stage_seconds")
