"""An archive may have several volumes"""

from typing import Any

import sqlalchemy as sa
from alembic import op

revision = "0009"
down_revision = "0008"

JOBS = sa.table(
    "jobs",
    sa.column("id", sa.String),
    sa.column("count", sa.Integer),
    sa.column("archive_key", sa.String),
    sa.column("archive_bytes", sa.BigInteger),
    sa.column("manifest_sha256", sa.String),
    sa.column("volumes", sa.JSON(none_as_null=True)),
)
ITEMS = sa.table("items", *map(sa.column, ("job_id", "kind", "state", "count")))
ONE_ZIP: dict[str, Any] = {
    "archive_key": sa.String(200),
    "archive_bytes": sa.BigInteger(),
    "manifest_sha256": sa.String(64),
}


def upgrade() -> None:
    op.add_column("jobs", sa.Column("volumes", sa.JSON))
    jobs = JOBS.c
    finished = (
        sa.select(sa.func.sum(ITEMS.c.count))
        .where(ITEMS.c.job_id == jobs.id, ITEMS.c.kind == "shard", ITEMS.c.state == "done")
        .scalar_subquery()
    )
    packed = sa.select(
        jobs.id,
        jobs.archive_key.label("key"),
        # Of a deleted or expired job, whose items are gone, it is no longer known.
        sa.func.coalesce(finished, jobs.count).label("pairs"),
        jobs.archive_bytes.label("bytes"),
        jobs.manifest_sha256,
    ).where(jobs.archive_key.is_not(None))
    for row in op.get_bind().execute(packed).mappings().all():
        volume = {"number": 1, **{name: row[name] for name in row if name != "id"}}
        op.execute(sa.update(JOBS).where(jobs.id == row["id"]).values(volumes=[volume]))
    for name in ONE_ZIP:
        op.drop_column("jobs", name)


def downgrade() -> None:
    """Of an archive in several volumes only the first is kept."""
    for name, kind in ONE_ZIP.items():
        op.add_column("jobs", sa.Column(name, kind))
    jobs = JOBS.c
    packed = sa.select(jobs.id, jobs.volumes).where(jobs.volumes.is_not(None))
    for row in op.get_bind().execute(packed).mappings().all():
        volume = row["volumes"][0]
        values = {
            "archive_key": volume["key"],
            "archive_bytes": volume["bytes"],
            "manifest_sha256": volume["manifest_sha256"],
        }
        op.execute(sa.update(JOBS).where(jobs.id == row["id"]).values(**values))
    op.drop_column("jobs", "volumes")
