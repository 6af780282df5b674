"""Two workers on one order: they share it, and what one of them does twice counts once."""

import os
import re
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest
from sqlalchemy import select

from app.client import Dataset
from app.database import open_database
from app.jobs.tables import Item, ItemKind, ItemState
from app.storage import open_storage
from tests.service.running import RunningService, digest
from tests.waiting import wait_until

SHARD = 60  # takes long enough to be caught in its beginning
COUNT = 8 * SHARD
SEED = 5


@pytest.fixture(scope="module")
def service(tmp_path_factory: pytest.TempPathFactory, models_dir: Path) -> Iterator[RunningService]:
    with RunningService(tmp_path_factory.mktemp("service"), models_dir, SHARD) as service:
        yield service


@pytest.fixture(scope="module")
def undisturbed(service: RunningService) -> Dataset:
    return service.succeed(service.client.datasets.order(COUNT, seed=SEED))


@pytest.fixture(scope="module")
def second_worker(service: RunningService, undisturbed: Dataset) -> Iterator[None]:
    """A worker beside the service's own, as on another machine; both are at work."""
    command = ["celery", "--quiet", "--app", "worker.celery_app", "worker", "--loglevel", "INFO"]
    with service.log.open("ab") as log:
        process = subprocess.Popen(
            [sys.executable, "-m", *command, "--queues", "generate", "--hostname", "second@%h"],
            env=os.environ | service.environment,
            stdout=log,
            stderr=log,
        )
        wait_until(
            lambda: (
                len(workers(service, service.succeed(service.client.datasets.order(4 * SHARD))))
                == 2
            )
        )
        yield
        process.terminate()
        process.wait(30)


def shards(service: RunningService, job: Dataset, *states: str) -> list[Item]:
    db = open_database(service.settings)
    with db.read() as session:
        of_job = (Item.job_id == job["id"], Item.kind == ItemKind.SHARD, Item.state.in_(states))
        items = list(session.scalars(select(Item).where(*of_job)))
    db.close()
    return items


def workers(service: RunningService, job: Dataset) -> set[str | None]:
    return {item.worker_id for item in shards(service, job, ItemState.DONE)}


def begun(service: RunningService, job: Dataset) -> Item:
    """A shard that a worker has only just taken, so that it does not write to the database now."""
    found: list[Item] = []
    while not found:
        found = [item for item in shards(service, job, ItemState.LEASED) if item.progress == 0]
    return found[0]


def process_of(item: Item) -> int:
    assert item.worker_id is not None
    return int(item.worker_id.rpartition(":")[2])


@pytest.mark.usefixtures("second_worker")
def test_two_workers_share_an_order(service: RunningService, undisturbed: Dataset) -> None:
    job = service.succeed(service.client.datasets.order(COUNT, seed=SEED))
    assert digest(job) == digest(undisturbed)
    assert len(workers(service, job)) == 2


@pytest.mark.usefixtures("second_worker")
def test_a_worker_that_wakes_up_late_changes_nothing(
    service: RunningService, undisturbed: Dataset
) -> None:
    """Two workers deliver one shard: the sleeper's lease ran out, and another has done it."""
    before = pairs_used(service)
    job = service.client.datasets.order(COUNT, seed=SEED)
    asleep = begun(service, job)
    sleeper = process_of(asleep)
    os.kill(sleeper, signal.SIGSTOP)
    try:
        job = service.succeed(job)
    finally:
        os.kill(sleeper, signal.SIGCONT)
    assert digest(job) == digest(undisturbed)
    lost = rf"shard {asleep.ordinal} of {job['id']}.*the lease was lost"
    wait_until(lambda: re.search(lost, service.output()) is not None)

    (again,) = (s for s in shards(service, job, ItemState.DONE) if s.id == asleep.id)
    assert again.attempt == 2
    assert process_of(again) != sleeper
    assert pairs_used(service) - before == COUNT
    stored = open_storage(service.settings).list(f"jobs/{job['id']}/")
    assert not any(key.endswith(".segment") for key in stored)


def pairs_used(service: RunningService) -> int:
    return httpx.get(f"{service.address}/usage", trust_env=False).json()["pairs"]
