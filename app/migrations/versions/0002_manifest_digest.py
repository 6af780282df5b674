"""The manifest's SHA-256 stands for the archive: packing no longer reads what it packs"""

import sqlalchemy as sa
from alembic import op

revision = "0002"
down_revision = "0001"


def upgrade() -> None:
    op.add_column("jobs", sa.Column("manifest_sha256", sa.String(64)))
    # Archives packed before keep what identified them: it served as their ETag, and still does.
    op.execute("UPDATE jobs SET manifest_sha256 = archive_sha256")
    op.drop_column("jobs", "archive_sha256")


def downgrade() -> None:
    op.add_column("jobs", sa.Column("archive_sha256", sa.String(64)))
    op.execute("UPDATE jobs SET archive_sha256 = manifest_sha256")
    op.drop_column("jobs", "manifest_sha256")
