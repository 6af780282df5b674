"""Items from claim to result, with a real database, storage and networks, and what can go wrong."""

import io
import json
import zipfile
from typing import Any

import pytest
from sqlalchemy import select

from app.database import Database
from app.jobs.leases import Claim, release
from app.jobs.orders import create_job, request_cancel, request_delete
from app.jobs.sweep import sweep
from app.jobs.tables import Item, Job, Usage
from app.settings import Settings
from app.storage import Storage
from models.package import MANIFEST, VESSEL_WEIGHTS, ModelPackage
from worker.engine import run_shard
from worker.failures import BUG
from worker.item import Worker

Order = dict[str, Any]


@pytest.fixture
def worker(settings: Settings, db: Database, storage: Storage) -> Worker:
    return Worker(settings, db, storage)


def job_of(db: Database, job_id: str) -> Job:
    with db.read() as session:
        return session.get_one(Job, job_id)


def states(db: Database, job_id: str) -> list[str]:
    with db.read() as session:
        query = select(Item.state).where(Item.job_id == job_id).order_by(Item.ordinal)
        return [str(state) for state in session.scalars(query)]


def finish(worker: Worker) -> int:
    """Works until nothing is left to do; returns the number of items."""
    items = 0
    while worker.work():
        items += 1
        assert items < 100, "the worker finds no end"
    return items


def test_order_from_first_shard_to_archive(
    worker: Worker, db: Database, storage: Storage, order: Order
) -> None:
    job_id = create_job(db, **order)
    assert finish(worker) == 4  # three shards and the packing
    job = job_of(db, job_id)
    assert job.status == "succeeded"
    (volume,) = job.volumes
    data = storage.read(volume["key"])
    assert len(data) == volume["bytes"]
    with zipfile.ZipFile(io.BytesIO(data)) as archive:
        assert archive.testzip() is None
        manifest = json.loads(archive.read("manifest.json"))
    assert manifest["order"] == order["request"]
    assert manifest["environments"] == [job.environment]
    assert not any(key.endswith(".segment") for key in storage.list())


def test_order_in_volumes(worker: Worker, db: Database, storage: Storage, order: Order) -> None:
    order["request"] |= {"volume_pairs": 5, "image_format": "jpeg"}
    job_id = create_job(db, **order)
    assert finish(worker) == 6  # two shards and a packing each
    job = job_of(db, job_id)
    assert job.status == "succeeded"
    for volume, first in zip(job.volumes, (0, 5), strict=True):
        with zipfile.ZipFile(io.BytesIO(storage.read(volume["key"]))) as archive:
            assert archive.testzip() is None
            assert archive.namelist()[0] == f"train/00{volume['number']}/images/00000{first}.jpg"
            assert "jpeg" in json.loads(archive.read(archive.namelist()[-1]))["environments"][0]
    assert not any(key.endswith(".segment") for key in storage.list())


def test_nothing_to_do(worker: Worker) -> None:
    assert not worker.work()


def test_stopping_worker_takes_nothing(
    settings: Settings, db: Database, storage: Storage, order: Order
) -> None:
    job_id = create_job(db, **order)
    assert not Worker(settings, db, storage, stopping=lambda: True).work()
    assert states(db, job_id) == ["ready", "ready", "ready", "waiting"]


def test_shard_in_hand_is_given_back(
    settings: Settings, db: Database, storage: Storage, order: Order
) -> None:
    job_id = create_job(db, **order)
    answers = iter([False, True])  # asked to stop after the claim
    worker = Worker(settings, db, storage, stopping=lambda: next(answers, True))
    assert worker.work()
    assert states(db, job_id) == ["ready", "ready", "ready", "waiting"]
    assert job_of(db, job_id).error is None
    assert storage.list() == []


def test_cancelled_job_ends_with_what_was_finished(
    worker: Worker, db: Database, storage: Storage, order: Order
) -> None:
    job_id = create_job(db, **order)
    worker.work()
    request_cancel(db, job_id)
    assert finish(worker) == 1
    job = job_of(db, job_id)
    assert job.status == "cancelled"
    with zipfile.ZipFile(io.BytesIO(storage.read(job.volumes[0]["key"]))) as archive:
        assert sum(name.startswith("train/images/") for name in archive.namelist()) == 4


def test_package_replaced_after_the_order(
    worker: Worker, db: Database, settings: Settings, order: Order, package: ModelPackage
) -> None:
    job_id = create_job(db, **order)
    path = settings.models_dir / "tiny" / MANIFEST
    path.write_text(json.dumps(dict(package.manifest, title="Another title")))
    finish(worker)
    job = job_of(db, job_id)
    assert (job.status, job.error["code"]) == ("failed", "model_changed")
    assert "tiny-64@0.0.1" in job.error["detail"]


def test_package_gone(worker: Worker, db: Database, settings: Settings, order: Order) -> None:
    job_id = create_job(db, **order)
    (settings.models_dir / "tiny" / MANIFEST).unlink()
    finish(worker)
    assert job_of(db, job_id).error["code"] == "model_missing"


def test_damaged_package_is_named_without_its_place(
    worker: Worker, db: Database, settings: Settings, order: Order
) -> None:
    job_id = create_job(db, **order)
    weights = settings.models_dir / "tiny" / VESSEL_WEIGHTS
    data = bytearray(weights.read_bytes())
    data[-1] ^= 1
    weights.write_bytes(data)
    finish(worker)
    error = job_of(db, job_id).error
    assert error["code"] == "model_damaged"
    assert VESSEL_WEIGHTS in error["detail"]
    assert str(settings.models_dir) not in error["detail"]


def test_lost_parts_are_made_again(
    worker: Worker, db: Database, storage: Storage, order: Order
) -> None:
    digests = []
    for lost in ((), ("000001.segment", "000002.index")):
        job_id = create_job(db, **order)
        for _ in range(3):
            worker.work()
        for name in lost:
            storage.delete(f"jobs/{job_id}/shards/{name}")
        assert finish(worker) == (4 if lost else 1)  # packing; both shards, packing
        job = job_of(db, job_id)
        assert job.status == "succeeded", job.error
        digests.append(job.volumes[0]["manifest_sha256"])
    assert digests[0] == digests[1]


@pytest.mark.parametrize("parts", ["embedded"], indirect=True)
def test_parts_lost_each_time_fail_the_packing(
    worker: Worker, db: Database, storage: Storage, order: Order
) -> None:
    job_id = create_job(db, **order)
    while worker.work():
        storage.delete(f"jobs/{job_id}/shards/000001.segment")
    job = job_of(db, job_id)
    assert (job.status, job.error["code"]) == ("failed", "parts_missing")
    assert "000001.segment" in job.error["detail"]


def test_bug_tells_users_nothing_of_its_inside(
    worker: Worker,
    db: Database,
    order: Order,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    def break_down(*_: object) -> None:
        raise ZeroDivisionError("secret inside")

    job_id = create_job(db, **order)
    monkeypatch.setattr("worker.item.run_shard", break_down)
    finish(worker)
    error = job_of(db, job_id).error
    assert error["code"] == "internal_error"
    assert error["detail"] == f"Pairs 0 to 3 could not be made (tried 3 times). {BUG}"
    assert "secret inside" in caplog.text


def test_item_delivered_twice_has_one_effect(
    worker: Worker,
    settings: Settings,
    db: Database,
    storage: Storage,
    order: Order,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    job_id = create_job(db, **order)
    another = Worker(settings, db, storage)
    archives: list[bytes] = []

    def lose_the_lease(claim: Claim, *others: Any) -> dict[str, Any]:
        monkeypatch.undo()
        release(db, claim)
        finish(another)
        archives.append(storage.read(job_of(db, job_id).volumes[0]["key"]))
        return run_shard(claim, others[0], storage, lambda pairs: None)

    monkeypatch.setattr("worker.item.run_shard", lose_the_lease)
    before = storage.list()
    assert worker.work()
    job = job_of(db, job_id)
    assert (job.status, job.stage_seconds["pairs"]) == ("succeeded", 10)
    assert archives == [storage.read(job.volumes[0]["key"])]
    assert not any(key.endswith(".segment") for key in storage.list())
    with db.read() as session:
        assert session.scalar(select(Usage.pairs)) == 10

    request_delete(db, job_id)
    sweep(db, storage)
    assert storage.list() == before


def test_item_delivered_after_its_job_was_removed(
    worker: Worker, db: Database, storage: Storage, order: Order, monkeypatch: pytest.MonkeyPatch
) -> None:
    job_id = create_job(db, **order)

    def lose_the_lease(claim: Claim, *others: Any) -> dict[str, Any]:
        release(db, claim)
        request_delete(db, job_id)
        assert sweep(db, storage).purged == 1
        return run_shard(claim, others[0], storage, lambda pairs: None)

    monkeypatch.setattr("worker.item.run_shard", lose_the_lease)
    assert worker.work()
    assert storage.list() == []
