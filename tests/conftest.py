"""For all tests: databases and storages, real ones of each kind that the service runs on."""

import secrets
import shutil
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest
from sqlalchemy import create_engine, make_url, text

from app.database import Database
from app.settings import Settings
from app.storage import Storage, open_storage
from models.openmp import wait_briefly
from tests.servers import BUCKET, CREDENTIALS, postgresql, seaweed

wait_briefly()  # as the worker does; torch is not loaded yet


@pytest.fixture(scope="session")
def s3_address(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """An S3 server, for all tests of a run, and its credentials in the environment."""
    with (
        seaweed(tmp_path_factory.mktemp("seaweed")) as address,
        pytest.MonkeyPatch.context() as patch,
    ):
        for name, value in CREDENTIALS.items():
            patch.setenv(name, value)
        yield address


@pytest.fixture(scope="session")
def postgresql_url() -> Iterator[str]:
    """A PostgreSQL server, for all tests of a run."""
    # Not in pytest's folder: root's server runs as another user, whom pytest shuts out of it
    # whenever a second run starts.
    with TemporaryDirectory(prefix="postgresql-") as folder, postgresql(Path(folder)) as url:
        yield url


@pytest.fixture(scope="session")
def migrated_file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A SQLite file with the tables and no row, to be copied: sooner done than migrating."""
    path = tmp_path_factory.mktemp("migrated") / "empty.sqlite3"
    migrate_to(f"sqlite:///{path}")
    return path


@pytest.fixture(scope="session")
def migrated_database(postgresql_url: str) -> str:
    """The name of such a database in PostgreSQL."""
    name = "migrated"
    engine = create_engine(postgresql_url, isolation_level="AUTOCOMMIT")
    with engine.connect() as connection:
        connection.execute(text(f"CREATE DATABASE {name}"))
    engine.dispose()
    migrate_to(database_url(postgresql_url, name))
    return name


def migrate_to(url: str) -> None:
    database = Database(url)
    database.migrate()
    database.close()


def database_url(server: str, name: str) -> str:
    return make_url(server).set(database=name).render_as_string(hide_password=False)


@dataclass(frozen=True)
class Parts:
    """Where a service keeps its rows and its bytes: without any, and this test's own."""

    database_url: str
    storage_url: str
    s3_endpoint_url: str | None = None


@pytest.fixture(params=["embedded", "production"])
def parts(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Parts]:
    """SQLite and a folder, then PostgreSQL and S3: what uses it is tested on both."""
    if request.param == "embedded":
        file = shutil.copyfile(request.getfixturevalue("migrated_file"), tmp_path / "test.sqlite3")
        yield Parts(f"sqlite:///{file}", (tmp_path / "storage").as_uri())
        return
    server, s3_address = map(request.getfixturevalue, ("postgresql_url", "s3_address"))
    template = request.getfixturevalue("migrated_database")
    name = f"test_{secrets.token_hex(8)}"
    engine = create_engine(server, isolation_level="AUTOCOMMIT")
    with engine.connect() as connection:
        connection.execute(text(f"CREATE DATABASE {name} TEMPLATE {template}"))
    yield Parts(database_url(server, name), f"s3://{BUCKET}/{name}", s3_address)
    with engine.connect() as connection:
        connection.execute(text(f"DROP DATABASE {name} WITH (FORCE)"))
    engine.dispose()


@pytest.fixture
def db(parts: Parts) -> Iterator[Database]:
    database = Database(parts.database_url)
    yield database
    database.close()


@pytest.fixture
def storage(parts: Parts, tmp_path: Path) -> Storage:
    return open_storage(Settings(data_dir=tmp_path, **asdict(parts)))
