"""The schema that the database has, the one that this program knows, and the way from one to the other.

Migrations expand: they add what programs of before do without, so those go on working beside new ones.
docs/upgrade.md has the rules.
"""

from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

from alembic import command
from alembic.config import Config
from alembic.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy import Connection

MIGRATIONS = Path(__file__).parent / "migrations"


class SchemaError(RuntimeError):
    """The program cannot work on the schema that the database has; the message says what to do."""


@dataclass(frozen=True)
class Migrated:
    """What a migration did. revision: that of the schema now. steps: revision and title of each."""

    revision: str
    steps: list[tuple[str, str]]


def config() -> Config:
    """Alembic's configuration; its ``connection`` attribute is the caller's to set."""
    config = Config()
    config.set_main_option("script_location", str(MIGRATIONS).replace("%", "%%"))
    return config


@lru_cache
def known() -> dict[str, str]:
    """The titles of the migrations that this program knows, by revision, the first one first."""
    scripts = ScriptDirectory.from_config(config()).walk_revisions()
    return {script.revision: script.doc for script in reversed(list(scripts))}


def newest() -> str:
    """The revision that this program needs."""
    return list(known())[-1]


def check(connection: Connection) -> None:
    """Raise SchemaError if the schema is older than the program needs; a newer one has grown."""
    revision = _revision(connection)
    if revision is not None and revision >= newest():
        return
    found = "has no tables yet" if revision is None else f"has the schema {revision}"
    raise SchemaError(
        f"The database {found}, this version needs {newest()}: run `fundusmith migrate` of this "
        "version first."
    )


def migrate(connection: Connection) -> Migrated:
    """Bring the schema up to date, within the connection's transaction; leave a newer one alone."""
    before = _revision(connection)
    if before is not None and before >= newest():
        return Migrated(before, [])
    to_head = config()
    to_head.attributes["connection"] = connection
    command.upgrade(to_head, "head")
    steps = [step for step in known().items() if before is None or step[0] > before]
    return Migrated(newest(), steps)


def _revision(connection: Connection) -> str | None:
    return MigrationContext.configure(connection).get_current_revision()
