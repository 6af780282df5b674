"""Migrations expand, then contract: programs of the version before go on working beside new ones."""

from collections.abc import Iterator
from functools import partial
from typing import Any

import pytest
from alembic import command
from click.testing import CliRunner
from sqlalchemy import Engine, create_engine, inspect, text

from app import database, schema
from app.command import main
from app.database import Database
from app.deps import open_services
from app.jobs.sweep import sweep
from app.schema import SchemaError
from app.settings import Settings, get_settings
from app.storage import Storage
from tests.app.conftest import Jobs

FIRST = "0016"
# Revisions that take away what the release before has done without: docs/upgrade.md.
CONTRACTIONS: frozenset[str] = frozenset()
EXPANSION = [
    "ALTER TABLE jobs ADD COLUMN colour VARCHAR(20)",
    "ALTER TABLE items ADD COLUMN weight INTEGER NOT NULL DEFAULT 1",
    "CREATE TABLE palettes (name VARCHAR(20) PRIMARY KEY)",
]


def run(engine: Engine, move: Any, revision: str) -> None:
    config = schema.config()
    with engine.begin() as connection:
        config.attributes["connection"] = connection
        move(config, revision)


def renew(db: Database) -> None:
    """Makes the schema that of a version to come."""
    with db.engine.begin() as connection:
        for statement in EXPANSION:
            connection.execute(text(statement))
        connection.execute(text("UPDATE alembic_version SET version_num = '9999'"))


def taken_away(engine: Engine, step: Any) -> list[str]:
    """What a program that knows the schema as it is would miss after the step."""

    def columns() -> dict[str, dict[str, Any]]:
        look = inspect(engine)
        return {
            table: {column["name"]: column for column in look.get_columns(table)}
            for table in look.get_table_names()
        }

    def demands() -> set[tuple[str, str]]:
        """Of rows: what is unique, and what refers to something."""
        look = inspect(engine)
        unique = {
            (table, f"unique {index['column_names']}")
            for table in look.get_table_names()
            for index in look.get_indexes(table)
            if index["unique"]
        }
        return unique | {
            (table, f"reference {key['constrained_columns']}")
            for table in look.get_table_names()
            for key in look.get_foreign_keys(table)
        }

    before, demanded = columns(), demands()
    step()
    after = columns()
    missing = []
    for table, known in before.items():
        now = after.get(table, {})
        missing += [f"{table}.{name}" for name in known if name not in now]
        for name, column in now.items():
            if name not in known and not column["nullable"] and column["default"] in (None, "NULL"):
                missing.append(f"{table}.{name} must be given")
            if name in known and (
                (known[name]["nullable"] and not column["nullable"])
                or str(known[name]["type"]) != str(column["type"])
            ):
                missing.append(f"{table}.{name} is another")
    return missing + [
        f"{table}: {demand}" for table, demand in demands() - demanded if table in before
    ]


@pytest.fixture
def empty() -> Iterator[Engine]:
    engine = create_engine("sqlite://")
    yield engine
    engine.dispose()


def test_each_migration_expands(empty: Engine) -> None:
    run(empty, command.upgrade, FIRST)
    for revision in (each for each in schema.known() if each > FIRST):
        missing = taken_away(empty, partial(run, empty, command.upgrade, revision))
        assert not missing or revision in CONTRACTIONS, (
            f"{revision} takes away {missing}: docs/upgrade.md"
        )


def test_what_is_no_expansion_is_noticed(empty: Engine) -> None:
    run(empty, command.upgrade, "head")

    def step() -> None:
        with empty.begin() as connection:
            for statement in (
                *EXPANSION,
                "DROP TABLE deliveries",
                "ALTER TABLE jobs RENAME COLUMN parts TO pieces",
                "ALTER TABLE jobs ADD COLUMN must INTEGER NOT NULL DEFAULT NULL",
                "CREATE UNIQUE INDEX one ON items (kind)",
            ):
                connection.execute(text(statement))

    missing = [each for each in taken_away(empty, step) if not each.startswith("deliveries.")]
    assert missing == ["jobs.parts", "jobs.must must be given", "items: unique ['kind']"]


@pytest.mark.parametrize("parts", ["embedded"], indirect=True)
def test_a_newer_schema_that_has_grown_is_worked_on(
    db: Database, storage: Storage, jobs: Jobs, settings: Settings
) -> None:
    job_id = jobs.order()
    renew(db)
    after = Database(
        settings.resolved_database_url
    )  # as of a process of this version that starts now
    jobs.db = after
    jobs.finish_all()
    sweep(after, storage)
    assert jobs.row(job_id).status == "succeeded"
    assert after.migrate().steps == []
    after.close()
    open_services(settings).db.close()


@pytest.mark.parametrize("parts", ["production"], indirect=True)
def test_an_older_schema_is_named_until_it_is_migrated(
    db: Database, settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    run(db.engine, command.downgrade, "base")
    older = Database(settings.resolved_database_url)
    with older.engine.begin() as connection:
        connection.execute(text("INSERT INTO alembic_version VALUES ('0001')"))
    with pytest.raises(SchemaError, match=r"has the schema 0001, .* run `fundusmith migrate`"):
        older.check()
    with older.engine.begin() as connection:
        connection.execute(text("DELETE FROM alembic_version"))
    older.close()
    get_settings.cache_clear()
    monkeypatch.setenv("FUNDUSMITH_DATABASE_URL", settings.resolved_database_url)
    monkeypatch.setattr(database, "TABLE_SECONDS", 1)
    with pytest.raises(SchemaError, match=r"has no tables yet, .* run `fundusmith migrate`"):
        open_services(settings)
    with pytest.raises(SchemaError, match="needs"), db.read():
        pass
    refused = CliRunner().invoke(main, ["keys", "list"])
    assert (refused.exit_code, "run `fundusmith migrate`" in refused.output) == (1, True)
    with db.engine.begin() as holder:
        holder.execute(text("LOCK TABLE alembic_version IN ACCESS EXCLUSIVE MODE"))
        busy = CliRunner().invoke(main, ["migrate"])
    assert (busy.exit_code, "Nothing has been changed" in busy.output) == (1, True)
    first, second = (CliRunner().invoke(main, ["migrate"]) for _ in range(2))
    get_settings.cache_clear()
    assert first.output.startswith(f"{FIRST}  All tables\n")
    assert first.output.endswith(f"The schema is at {schema.newest()} now.\n")
    assert second.output == f"The schema is at {schema.newest()} already.\n"
    with db.read():  # the same process, without a restart
        pass
