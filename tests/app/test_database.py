import multiprocessing
import threading
from datetime import UTC, datetime, timedelta, timezone
from pathlib import Path

import pytest
from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext
from sqlalchemy import inspect, text

from app.database import Base, Database, migrate
from app.jobs.states import lock_job
from app.jobs.tables import Job
from app.settings import Settings
from tests.app.conftest import Jobs


def test_the_migrated_schema_is_that_of_the_tables(db: Database) -> None:
    with db.engine.connect() as connection:
        assert compare_metadata(MigrationContext.configure(connection), Base.metadata) == []


def test_migrating_again_keeps_what_is_there(db: Database, jobs: Jobs) -> None:
    job_id = jobs.order()
    db.migrate()
    assert jobs.row(job_id).id == job_id


def test_processes_that_start_together_migrate_once(tmp_path: Path) -> None:
    settings = Settings(data_dir=tmp_path / "new")
    context = multiprocessing.get_context("spawn")
    starters = [context.Process(target=migrate, args=(settings,)) for _ in range(4)]
    for process in starters:
        process.start()
    for process in starters:
        process.join(60)
    assert [process.exitcode for process in starters] == [0] * 4
    db = Database(settings.resolved_database_url)
    assert {"jobs", "items", "rates"} <= set(inspect(db.engine).get_table_names())
    db.close()


@pytest.mark.parametrize("parts", ["embedded"], indirect=True)
def test_sqlite_is_set_up_for_several_processes(db: Database) -> None:
    with db.read() as session:
        assert session.scalar(text("PRAGMA journal_mode")) == "wal"
        assert session.scalar(text("PRAGMA foreign_keys")) == 1


def test_a_reader_does_not_wait_for_a_writer(db: Database, jobs: Jobs) -> None:
    job_id = jobs.order()
    with db.write() as writer:
        writer.get_one(Job, job_id).status = "running"
        writer.flush()
        assert jobs.row(job_id).status == "queued"
    assert jobs.row(job_id).status == "running"


def test_writers_that_read_first_take_turns(db: Database, jobs: Jobs) -> None:
    job_id = jobs.order(count=1)

    def add_many() -> None:
        for _ in range(25):
            with db.write() as session:
                lock_job(session, job_id).count += 1

    threads = [threading.Thread(target=add_many) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert jobs.row(job_id).count == 101


def test_a_failed_block_changes_nothing(db: Database, jobs: Jobs) -> None:
    job_id = jobs.order()
    try:
        with db.write() as session:
            session.get_one(Job, job_id).status = "running"
            session.flush()
            raise RuntimeError
    except RuntimeError:
        pass
    assert jobs.row(job_id).status == "queued"


def test_times_come_back_in_utc(db: Database, jobs: Jobs) -> None:
    job_id = jobs.order()
    tokyo = datetime(2026, 5, 1, 9, 30, 0, 123456, timezone(timedelta(hours=9)))
    with db.write() as session:
        session.get_one(Job, job_id).expired_at = tokyo
    back = jobs.row(job_id).expired_at
    assert back == tokyo
    assert back is not None and back.tzinfo is UTC
