"""What may break in the middle of an order, and that the same bytes come out all the same."""

import os
import shutil
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from sqlalchemy import select

from app.client import Dataset
from app.database import open_database
from app.jobs.tables import Item
from tests.service.running import RunningService, children, digest, is_alive
from tests.waiting import wait_until

COUNT = 600  # 2 seconds of work on the fastest machine seen
MIDDLE = 40
SEED = 11

linux_only = pytest.mark.skipif(
    sys.platform != "linux", reason="only Linux ends a process with its parent"
)


@pytest.fixture(scope="module")
def undisturbed(service: RunningService) -> Dataset:
    """The order of all tests here, made without trouble."""
    return service.succeed(service.client.datasets.order(COUNT, seed=SEED))


@pytest.fixture
def half_done(service: RunningService, undisturbed: Dataset) -> Iterator[Dataset]:
    """The same order once more, in its middle."""
    job = service.client.datasets.order(COUNT, seed=SEED)
    service.wait_for_pairs(job, MIDDLE)
    yield job
    job.cancel()


def leased(service: RunningService) -> list[Item]:
    db = open_database(service.settings)
    with db.read() as session:
        items = list(session.scalars(select(Item).where(Item.state == "leased")))
    db.close()
    return items


@linux_only
def test_worker_killed(service: RunningService, half_done: Dataset, undisturbed: Dataset) -> None:
    worker = service.pid("worker")
    pool = children(worker)
    assert pool
    os.kill(worker, signal.SIGKILL)
    wait_until(lambda: not any(map(is_alive, pool)))  # no orphan goes on computing
    assert digest(service.succeed(half_done)) == digest(undisturbed)
    assert service.pid("worker") != worker


@linux_only
def test_child_of_the_worker_killed(
    service: RunningService, half_done: Dataset, undisturbed: Dataset
) -> None:
    for child in children(service.pid("worker")):
        os.kill(child, signal.SIGKILL)
    assert digest(service.succeed(half_done)) == digest(undisturbed)


def test_broker_killed_and_its_data_removed(
    service: RunningService, half_done: Dataset, undisturbed: Dataset
) -> None:
    service.kill("broker")
    shutil.rmtree(service.settings.data_dir / "broker")
    assert digest(service.succeed(half_done)) == digest(undisturbed)


def test_broker_killed_while_nothing_is_done(service: RunningService, undisturbed: Dataset) -> None:
    broker = service.pid("broker")
    service.kill("broker")
    shutil.rmtree(service.settings.data_dir / "broker")
    wait_until(lambda: service.pid("broker") != broker)
    job = service.succeed(service.client.datasets.order(COUNT, seed=SEED))
    assert digest(job) == digest(undisturbed)


def test_api_and_sweeper_killed(
    service: RunningService, half_done: Dataset, undisturbed: Dataset
) -> None:
    api = service.pid("api")
    service.kill("api")
    service.kill("sweeper")
    wait_until(lambda: service.pid("api") != api and service.client.is_ready())
    assert digest(service.succeed(half_done)) == digest(undisturbed)


def test_stopped_and_started_with_another_shard_size(
    service: RunningService, undisturbed: Dataset, models_dir: Path, tmp_path: Path
) -> None:
    with RunningService(tmp_path, models_dir, shard_pairs=100) as first:
        job = first.client.datasets.order(COUNT, seed=SEED)
        first.wait_for_pairs(job, 1)
        pids = [first.pid(name) for name in ("broker", "api", "worker", "sweeper")]
    assert first.process.returncode == 0
    assert not any(map(is_alive, pids))
    assert leased(first) == []  # the shard in hand was given back
    with RunningService(tmp_path, models_dir, shard_pairs=7) as second:
        job = second.succeed(job)
        assert digest(job) == digest(undisturbed)


@linux_only
def test_supervisor_killed_leaves_nothing_behind(models_dir: Path, tmp_path: Path) -> None:
    with RunningService(tmp_path, models_dir) as service:
        pids = [service.pid(name) for name in ("broker", "api", "worker", "sweeper")]
        pids += children(service.pid("worker"))
        service.process.kill()
        wait_until(lambda: not any(map(is_alive, pids)))


def test_two_services_do_not_share_a_data_folder(service: RunningService) -> None:
    second = subprocess.run(
        [sys.executable, "-m", "app.command", "up"],
        env=os.environ | service.environment,
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert second.returncode == 1
    assert f"already runs on {service.settings.data_dir}" in second.stderr


def test_port_in_use(service: RunningService, tmp_path: Path) -> None:
    port = service.address.rpartition(":")[2]
    second = subprocess.run(
        [sys.executable, "-m", "app.command", "up"],
        env=os.environ
        | service.environment
        | {"FUNDUSMITH_PORT": port, "FUNDUSMITH_DATA_DIR": str(tmp_path)},
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert second.returncode == 1
    assert f"Port {port} is in use" in second.stderr
