"""The database: engine, sessions and migration, for SQLite (the default) and PostgreSQL."""

from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

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
from sqlalchemy.exc import OperationalError
from sqlalchemy.orm import DeclarativeBase, Session

from app import schema
from app.settings import Settings

BUSY_SECONDS = 30
# Any number will do that no other use of advisory locks in this database has.
MIGRATION_LOCK = 7_305_118_401
# A step that waits for a table has everybody else wait behind it: better that it gives up.
TABLE_SECONDS = 5
LOCK_NOT_AVAILABLE = "55P03"  # PostgreSQL's code of that


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

    The first session finds out whether the schema is one that this program can work on; it raises
    :class:`app.schema.SchemaError` if not, and so does each further one until it is.
    """

    def __init__(self, url: str) -> None:
        self.engine = _open_engine(url)
        self._writer = self.engine.execution_options(sqlite_begin="IMMEDIATE")
        self._checked = False

    @contextmanager
    def read(self) -> Iterator[Session]:
        """A session that only reads; what it loaded stays usable afterwards."""
        self.check()
        with Session(self.engine, expire_on_commit=False) as session:
            yield session

    @contextmanager
    def write(self) -> Iterator[Session]:
        """A session that commits at the end of the block, or rolls back if the block raises."""
        self.check()
        with Session(self._writer, expire_on_commit=False) as session, session.begin():
            yield session

    def check(self) -> None:
        """Raise SchemaError if this program cannot work on the schema; looks until it can."""
        if not self._checked:
            with self.engine.connect() as connection:
                schema.check(connection)
            self._checked = True

    def prepare(self) -> None:
        """Migrate a SQLite file, which is this machine's own; :meth:`check` any other database."""
        if self.engine.dialect.name == "sqlite":
            self.migrate()
        else:
            self.check()

    def migrate(self) -> schema.Migrated:
        """Bring the schema up to date. Processes that start together wait for one another.

        Raises:
            SchemaError: PostgreSQL's tables are held by something that takes long; nothing has been
                changed then.
        """
        if self.engine.dialect.name == "sqlite":
            with self.engine.connect() as connection:
                connection.connection.execute("PRAGMA journal_mode = WAL")  # no transaction is open
        # One transaction for all steps. On SQLite its write lock is what makes the others wait.
        try:
            with self._writer.begin() as connection:
                if self.engine.dialect.name == "postgresql":
                    connection.execute(text(f"SELECT pg_advisory_xact_lock({MIGRATION_LOCK})"))
                    connection.execute(text(f"SET LOCAL lock_timeout = '{TABLE_SECONDS}s'"))
                return schema.migrate(connection)
        except OperationalError as error:
            if getattr(error.orig, "sqlstate", None) != LOCK_NOT_AVAILABLE:
                raise
            raise schema.SchemaError(
                "The tables are in use by something that takes long, a backup perhaps. Nothing has "
                "been changed; run it again afterwards."
            ) from error

    def close(self) -> None:
        """Close all pooled connections."""
        self.engine.dispose()


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
