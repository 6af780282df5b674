"""Fifty faults at random moments while orders are made on production's parts: nothing is lost."""

import json
import random
import shutil
import time
from collections.abc import Callable, Iterator
from dataclasses import asdict, replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from sqlalchemy import select

from app.client import Dataset, ServiceError, UnreachableError
from app.database import open_database
from app.jobs.tables import Item, ItemState
from app.storage import open_storage
from models.package import MANIFEST, write_tiny_package
from tests.conftest import Parts
from tests.service.flaky import FlakyProxy
from tests.service.running import RunningService
from tests.waiting import wait_until

pytestmark = pytest.mark.parametrize("parts", ["production"], indirect=True)

FAULTS = 50
ORDERS = 6
COUNT = 144
SEED = 20_261_123


@pytest.fixture
def proxy(parts: Parts) -> Iterator[FlakyProxy]:
    assert parts.s3_endpoint_url is not None
    proxy = FlakyProxy(parts.s3_endpoint_url)
    yield proxy
    proxy.close()


@pytest.fixture
def models_dir(tmp_path: Path) -> Path:
    """A tiny model that expects large pictures, so that an order on S3 has more than one shard."""
    path = write_tiny_package(tmp_path / "packages" / "tiny") / MANIFEST
    manifest = json.loads(path.read_text())
    manifest["expected"]["bytes_per_pair"] = 500_000
    path.write_text(json.dumps(manifest))
    return tmp_path / "packages"


def insist(call: Callable[[], Dataset]) -> Dataset:
    """The answer, however often the API is killed before it comes."""
    answers: list[Dataset] = []

    def answered() -> bool:
        try:
            answers.append(call())
        except (UnreachableError, ServiceError) as error:
            if isinstance(error, ServiceError) and error.status < 500:
                raise
            return False
        return True

    wait_until(answered)
    return answers[0]


def test_fifty_faults(parts: Parts, proxy: FlakyProxy, models_dir: Path, tmp_path: Path) -> None:
    settings = asdict(replace(parts, s3_endpoint_url=proxy.address)) | {"max_attempts": 1000}
    dice = random.Random(SEED)
    with RunningService(tmp_path / "chaos", models_dir, shard_pairs=16, **settings) as service:
        calm = service.succeed(service.client.datasets.order(COUNT, seed=SEED))
        calm.download(tmp_path / "expected.zip")
        expected = (tmp_path / "expected.zip").read_bytes()
        jobs = [service.client.datasets.order(COUNT, seed=SEED) for _ in range(ORDERS)]
        faults = 0
        while faults < FAULTS:
            _break_something(service, proxy, dice)
            faults += 1
            time.sleep(dice.uniform(0.05, 0.6))
            if faults % 8 == 0:  # so that there is always something to disturb
                jobs.append(insist(lambda: service.client.datasets.order(COUNT, seed=SEED)))
        for job in jobs:
            ended = insist(lambda job=job: service.finish(job))
            assert ended["status"] == "succeeded", ended
            (found,) = ended.download(tmp_path)
            assert found.read_bytes() == expected
        assert proxy.disturbed > 0
        _nothing_is_left_over(service, [job["id"] for job in (calm, *jobs)])


def _break_something(service: RunningService, proxy: FlakyProxy, dice: random.Random) -> None:
    victim = dice.choice(["api", "worker", "worker", "sweeper", "broker", "storage", "storage"])
    if victim == "storage":
        with proxy.broken():
            time.sleep(dice.uniform(0.2, 1.0))
        return
    try:
        service.kill(victim)
    except ProcessLookupError:
        return  # the supervisor has not yet started it again
    if victim == "broker":
        shutil.rmtree(service.settings.data_dir / "broker", ignore_errors=True)


def _nothing_is_left_over(service: RunningService, job_ids: list[str]) -> None:
    db, storage = open_database(service.settings), open_storage(service.settings)
    with db.read() as session:
        states = set(session.scalars(select(Item.state)))
    assert states == {ItemState.DONE}
    for job_id in job_ids:
        left = [key for key in storage.list(f"jobs/{job_id}/") if "/shards/" not in key]
        assert left == [f"jobs/{job_id}/dataset.offsets", f"jobs/{job_id}/dataset.zip"]
        assert not [key for key in storage.list(f"jobs/{job_id}/") if key.endswith(".segment")]
        service.client.datasets.get(job_id).delete()
    wait_until(lambda: storage.list("jobs/") == [])
    # Parts of uploads that a kill cut off go with their job.
    assert storage.discard_unfinished(datetime.now(UTC) + timedelta(hours=1)) == 0
    db.close()
