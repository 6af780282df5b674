"""Rates are measured for each image format"""

import sqlalchemy as sa
from alembic import op

revision = "0008"
down_revision = "0007"


def upgrade() -> None:
    rates = _rates("SELECT model, resolution, seconds_per_pair, bytes_per_pair FROM rates")
    op.drop_table("rates")  # a key cannot be made longer everywhere
    table = op.create_table(
        "rates",
        sa.Column("model", sa.String(200), primary_key=True),
        sa.Column("resolution", sa.Integer, primary_key=True),
        sa.Column("image_format", sa.String(20), primary_key=True),
        sa.Column("seconds_per_pair", sa.Double, nullable=False),
        sa.Column("bytes_per_pair", sa.Double, nullable=False),
    )
    op.bulk_insert(table, [{**rate, "image_format": "png"} for rate in rates])


def downgrade() -> None:
    rates = _rates(
        "SELECT model, resolution, seconds_per_pair, bytes_per_pair FROM rates "
        "WHERE image_format = 'png'"
    )
    op.drop_table("rates")
    table = op.create_table(
        "rates",
        sa.Column("model", sa.String(200), primary_key=True),
        sa.Column("resolution", sa.Integer, primary_key=True),
        sa.Column("seconds_per_pair", sa.Double, nullable=False),
        sa.Column("bytes_per_pair", sa.Double, nullable=False),
    )
    op.bulk_insert(table, rates)


def _rates(query: str) -> list[dict[str, object]]:
    return [dict(row) for row in op.get_bind().execute(sa.text(query)).mappings()]
