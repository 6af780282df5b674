"""Which programs can work on the schema"""

import sqlalchemy as sa
from alembic import op

revision = "0014"
down_revision = "0013"


def upgrade() -> None:
    floor = op.create_table("schema_floor", sa.Column("oldest", sa.String(32), primary_key=True))
    op.bulk_insert(floor, [{"oldest": "0013"}])


def downgrade() -> None:
    op.drop_table("schema_floor")
