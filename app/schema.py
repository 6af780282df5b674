"""The schema that the database has, the one that this program knows, and the way from one to the other.

Migrations expand: they add what programs of before do without, so those go on working beside new ones.
A migration that takes something away (that contracts) says in the table ``schema_floor`` which
revision a program must know to do without it. docs/upgrade.md has the rules.
"""

from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

from alembic import command
from alembic.config import Config
from alembic.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy import Connection, text

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
    """Raise SchemaError if the schema is older than the program needs, or too new for it."""
    revision = _revision(connection)
    if revision == newest():
        return
    if revision is not None and revision not in known():
        _check_floor(connection, revision)
        return
    found = "has no tables yet" if revision is None else f"has the schema {revision}"
    raise SchemaError(
        f"The database {found}, this version needs {newest()}: run `fundusmith migrate` of this "
        "version first."
    )


def migrate(connection: Connection) -> Migrated:
    """Bring the schema up to date, within the connection's transaction; leave a newer one alone.

    Raises:
        SchemaError: it is too new for this program.
    """
    before = _revision(connection)
    if before is not None and before not in known():
        _check_floor(connection, before)
        return Migrated(before, [])
    to_head = config()
    to_head.attributes["connection"] = connection
    command.upgrade(to_head, "head")
    steps = [step for step in known().items() if before is None or step[0] > before]
    return Migrated(newest(), steps)


def _revision(connection: Connection) -> str | None:
    return MigrationContext.configure(connection).get_current_revision()


def _check_floor(connection: Connection, revision: str) -> None:
    floor = connection.scalar(text("SELECT oldest FROM schema_floor"))
    if floor is None or newest() < floor:
        raise SchemaError(
            f"The database has the schema {revision}, which is for versions that know {floor} or "
            f"later; this one knows {newest()}. Run a newer version."
        )
