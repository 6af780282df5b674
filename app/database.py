"""The database: engine, sessions and migration, for SQLite (the default) and PostgreSQL."""

from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from alembic import command
from alembic.config import Config
from sqlalchemy import (
    DateTime,
    Dialect,
    Engine,
    MetaData,
    TypeDecorator,
    create_engine,
    event,
    make_url,
    text,
)
from sqlalchemy.orm import DeclarativeBase, Session

from app.settings import Settings

MIGRATIONS = Path(__file__).parent / "migrations"
BUSY_SECONDS = 30
# Any number will do that no other use of advisory locks in this database has.
MIGRATION_LOCK = 7_305_118_401


class Base(DeclarativeBase):
    """Base of all tables. Its constraints have fixed names, so that migrations can name them."""

    metadata = MetaData(
        naming_convention={
            "ix": "ix_%(table_name)s_%(column_0_N_name)s",
            "uq": "uq_%(table_name)s_%(column_0_N_name)s",
            "fk": "fk_%(table_name)s_%(column_0_name)s_%(referred_table_name)s",
            "pk": "pk_%(table_name)s",
        }
    )


class UtcDateTime(TypeDecorator[datetime]):
    """A point in time, always aware and in UTC, also on SQLite, which forgets time zones."""

    impl = DateTime(timezone=True)
    cache_ok = True

    def process_bind_param(self, value: datetime | None, dialect: Dialect) -> datetime | None:
        return None if value is None else value.astimezone(UTC)

    def process_result_value(self, value: Any | None, dialect: Dialect) -> datetime | None:
        if value is None:
            return None
        return value.replace(tzinfo=UTC) if value.tzinfo is None else value.astimezone(UTC)


class Database:
    """An engine with two kinds of session: one that reads and one that writes.

    A SQLite transaction that starts by reading and then writes can fail at once when another writer
    came between, whatever the busy timeout. So ``write`` takes the write lock first (BEGIN
    IMMEDIATE) and waits for it there.
    """

    def __init__(self, url: str) -> None:
        self.engine = _open_engine(url)
        self._writer = self.engine.execution_options(sqlite_begin="IMMEDIATE")

    @contextmanager
    def read(self) -> Iterator[Session]:
        """A session that only reads; what it loaded stays usable afterwards."""
        with Session(self.engine, expire_on_commit=False) as session:
            yield session

    @contextmanager
    def write(self) -> Iterator[Session]:
        """A session that commits at the end of the block, or rolls back if the block raises."""
        with Session(self._writer, expire_on_commit=False) as session, session.begin():
            yield session

    def migrate(self) -> None:
        """Bring the schema up to date. Processes that start together wait for one another."""
        if self.engine.dialect.name == "sqlite":
            with self.engine.connect() as connection:
                connection.connection.execute("PRAGMA journal_mode = WAL")  # no transaction is open
        config = migrations()
        # One transaction for all steps. On SQLite its write lock is what makes the others wait.
        with self._writer.begin() as connection:
            if self.engine.dialect.name == "postgresql":
                connection.execute(text(f"SELECT pg_advisory_xact_lock({MIGRATION_LOCK})"))
            config.attributes["connection"] = connection
            command.upgrade(config, "head")

    def close(self) -> None:
        """Close all pooled connections."""
        self.engine.dispose()


def migrations() -> Config:
    """Alembic's configuration; its ``connection`` attribute is the caller's to set."""
    config = Config()
    config.set_main_option("script_location", str(MIGRATIONS).replace("%", "%%"))
    return config


def open_database(settings: Settings) -> Database:
    """The database that the settings name; a SQLite file's folder is made if it is missing."""
    url = make_url(settings.resolved_database_url)
    if url.get_backend_name() == "sqlite" and url.database:
        Path(url.database).parent.mkdir(parents=True, exist_ok=True)
    return Database(settings.resolved_database_url)


def migrate(settings: Settings) -> None:
    """Bring the schema of the settings' database up to date (see :meth:`Database.migrate`)."""
    database = open_database(settings)
    try:
        database.migrate()
    finally:
        database.close()


def _open_engine(url: str) -> Engine:
    if make_url(url).get_backend_name() != "sqlite":
        return create_engine(url, pool_pre_ping=True)
    engine = create_engine(url, connect_args={"timeout": BUSY_SECONDS})

    @event.listens_for(engine, "connect")
    def prepare(connection: Any, _record: Any) -> None:
        connection.isolation_level = None  # the driver sends no BEGIN of its own
        connection.execute("PRAGMA foreign_keys = ON")
        connection.execute("PRAGMA synchronous = NORMAL")

    @event.listens_for(engine, "begin")
    def begin(connection: Any) -> None:
        mode = connection.get_execution_options().get("sqlite_begin", "DEFERRED")
        connection.exec_driver_sql(f"BEGIN {mode}")

    return engine
