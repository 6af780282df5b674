"""Training runs from the first slice to the model, with real networks, a database and a storage."""

import json
import math
from collections.abc import Callable
from itertools import count
from typing import Any

import pytest

from app.database import Database
from app.jobs.leases import Claim, claim_next, complete
from app.jobs.orders import create_job, request_cancel
from app.jobs.runs import resume_run, slices
from app.jobs.sweep import sweep
from app.jobs.tables import Job, Role, Usage
from app.registry.tables import StoredModel
from app.settings import Settings
from app.storage import Storage
from app.training.hyperparameters import PhotoSettings, VesselSettings, setting
from models.package import ModelPackage
from models.training.settings import StageOneSettings, StageTwoSettings
from tests.worker.checked import Check, embedded, production
from tests.worker.runs import order_run, row, same, tensors, train, weights
from tests.zips import pack, pairs
from worker.item import Worker

MakeWorker = Callable[..., Worker]


@pytest.fixture
def upload(check: Check) -> Job:
    return check("pairs", pack(pairs(4))).job


@pytest.fixture
def worker(settings: Settings, db: Database, storage: Storage) -> MakeWorker:
    """Makes a worker whose slices last so long."""

    def make(slice_seconds: float = 600, stopping: Callable[[], bool] = lambda: False) -> Worker:
        changed = settings.model_copy(update={"slice_seconds": slice_seconds})
        return Worker(changed, db, storage, stopping)

    return make


def recorded(db: Database, run_id: str) -> list[dict[str, Any]]:
    with db.read() as session:
        return slices(session, run_id)


@production  # those below are about SQLite and a folder
def test_a_run_becomes_a_model_that_orders_can_name(
    worker: MakeWorker, db: Database, storage: Storage, upload: Job
) -> None:
    whole, cut = (order_run(db, upload, name=name) for name in ("whole", "cut"))
    assert not worker().work()  # it is for orders
    worker().work(Role.TRAIN)
    assert row(db, whole).status == "packaging"
    request_cancel(db, whole)
    train(worker(slice_seconds=0.001))
    job = row(db, cut)
    assert (job.status, job.error, job.model) == ("succeeded", None, "cut@1.0.0")
    assert same(tensors(db, storage, cut), tensors(db, storage, whole))

    results = recorded(db, cut)
    assert len(results) == 8  # a step each, the package, its registration
    assert sum(result["images"] for result in results) == 32
    kept = [key.rpartition("/")[2] for key in storage.list(f"jobs/{cut}/")]
    assert sorted(key for key in kept if key.endswith((".safetensors", ".zip"))) == [
        "photo.safetensors",
        "vessel.safetensors",
    ]
    lines = [
        json.loads(line)
        for result in results
        if result["metrics"]
        for line in storage.read(result["metrics"]).splitlines()
    ]
    assert {"stage", "images", "overfitting signal", "augmentation"} <= lines[0].keys()
    assert [(line["stage"], line["images"]) for line in lines][-1] == ("photo", 16)
    assert storage.read(results[-3]["sheets"][-1]["key"]).startswith(b"\x89PNG")
    with db.read() as session:
        (usage,) = session.query(Usage).all()
    assert usage.pairs == 0
    assert usage.device_seconds > sum(result["seconds"] for result in results)

    with db.read() as session:
        digest = session.query(StoredModel).one().digest
    order = {"count": 2, "resolution": 64, "model": "cut@1.0.0", "seed": 7}
    data_set = create_job(db, request=order, package_digest=digest, shard_pairs=4)
    worker = worker()
    while worker.work():
        pass
    assert row(db, data_set).status == "succeeded"


@embedded
def test_a_lost_slice_is_trained_again_and_leaves_nothing(
    worker: MakeWorker, db: Database, storage: Storage, upload: Job
) -> None:
    undisturbed, disturbed = (order_run(db, upload, name=name) for name in ("one", "two"))
    worker().work(Role.TRAIN)
    request_cancel(db, undisturbed)
    trainer = worker(slice_seconds=0.001)
    trainer.work(Role.TRAIN)
    (first,) = recorded(db, disturbed)
    asleep, late = do_next_and_lose_it(db, trainer)
    assert sweep(db, storage).expired == 1
    while row(db, disturbed).status == "running":
        trainer.work(Role.TRAIN)
    assert not complete(db, asleep, late)
    trainer._take_back(asleep)
    assert not storage.list(f"jobs/{disturbed}/slices/000001-1/")
    assert recorded(db, disturbed)[0] == first
    assert same(tensors(db, storage, disturbed), tensors(db, storage, undisturbed))


@embedded
def test_a_model_is_registered_once(
    worker: MakeWorker, db: Database, storage: Storage, upload: Job
) -> None:
    run_id = order_run(db, upload, images=8)
    trainer = worker()
    train(trainer, most=2)
    _, late = do_next_and_lose_it(db, trainer)
    assert late["model"] == "mine@1.0.0"
    assert sweep(db, storage).expired == 1
    train(trainer)
    assert (row(db, run_id).status, row(db, run_id).model) == ("succeeded", "mine@1.0.0")
    with db.read() as session:
        assert session.query(StoredModel).count() == 1


def do_next_and_lose_it(db: Database, trainer: Worker) -> tuple[Claim, dict[str, Any]]:
    """Does the next slice under a lease that has run out; the claim, and its result."""
    claim = claim_next(db, "a sleeper", Role.TRAIN.kinds, lease_seconds=-1)
    assert claim is not None
    return claim, trainer._trainer.run(claim, lambda images, live: None)


@embedded
def test_cancelled_with_a_checkpoint_and_resumed_with_a_larger_budget(
    worker: MakeWorker, db: Database, upload: Job, monkeypatch: pytest.MonkeyPatch
) -> None:
    run_id = order_run(db, upload)
    monkeypatch.setattr("worker.heartbeat.PROGRESS_SECONDS", 0.01)
    calls = count()
    trainer = worker(stopping=lambda: next(calls) == 3 and request_cancel(db, run_id) and False)
    assert train(trainer) == 1
    job = row(db, run_id)
    assert (job.status, job.error, job.model) == ("cancelled", None, None)
    (result,) = recorded(db, run_id)
    assert 0 < result["images"] < 32

    assert resume_run(db, run_id, {"images": 24}, lambda session, now: None)
    assert row(db, run_id).status == "queued"
    worker().work(Role.TRAIN)
    stages = recorded(db, run_id)[-1]["stages"]
    # Stage two's last step, of tracing, takes 16 parts of pairs.
    assert [stages[stage]["images"] for stage in ("vessel", "photo")] == [24, 20 + 16]
    assert row(db, run_id).status == "packaging"


@embedded
def test_a_worker_that_stops_hands_on_what_it_has_trained(
    worker: MakeWorker, db: Database, upload: Job
) -> None:
    run_id = order_run(db, upload)
    answers = iter([False, True])
    worker(stopping=lambda: next(answers)).work(Role.TRAIN)
    assert recorded(db, run_id)[0]["images"] == 8
    assert row(db, run_id).status == "running"


@embedded
def test_a_diverged_run_fails_with_the_reason_and_keeps_its_checkpoint(
    worker: MakeWorker, db: Database, upload: Job, monkeypatch: pytest.MonkeyPatch
) -> None:
    run_id = order_run(db, upload)
    worker(slice_seconds=0.01).work(Role.TRAIN)
    with monkeypatch.context() as patch:
        patch.setattr("models.losses.F.softplus", lambda values: values * math.nan)
        train(worker())
    job = row(db, run_id)
    assert (job.status, job.error["code"]) == ("failed", "diverged")
    assert "discriminator loss is nan" in job.error["detail"]
    first, last = recorded(db, run_id)
    assert last["stages"]["vessel"] == first["stages"]["vessel"]
    assert resume_run(db, run_id, {"images": 16}, lambda session, now: None)
    worker().work(Role.TRAIN)
    assert row(db, run_id).status == "packaging"


@embedded
def test_one_stage_on_top_of_a_model(
    worker: MakeWorker, db: Database, upload: Job, package: ModelPackage
) -> None:
    base = order_run(db, upload, images=8)
    train(worker())
    model = row(db, base).model
    with db.read() as session:
        (stored,) = session.query(StoredModel)
    changes = {"from": model, "stages": "photo", "budget": {"images": 8}}
    run_id = order_run(db, upload, stored.digest, **changes)
    train(worker())
    job = row(db, run_id)
    assert (job.status, job.model) == ("succeeded", "mine@1.0.1")
    before, after = weights(db, model), weights(db, job.model)
    assert before["vessel.safetensors"] == after["vessel.safetensors"]
    assert before["translator.safetensors"] != after["translator.safetensors"]

    other = f"{package.name}@{package.version}"
    run_id = order_run(db, upload, package.digest, **changes | {"from": other})
    train(worker())
    assert row(db, run_id).error["code"] == "cannot_train"  # another shape


@pytest.mark.parametrize(
    ("ours", "theirs"), [(VesselSettings, StageOneSettings), (PhotoSettings, StageTwoSettings)]
)
def test_the_api_knows_the_hyper_parameters_of_the_networks(ours: type, theirs: type) -> None:
    on_cpu, on_gpu = (theirs.describe(gpu) for gpu in (False, True))
    described = {
        cpu["name"]: setting(
            cpu["default"],
            cpu["least"],
            cpu["most"],
            cpu["meaning"].replace('"', "'"),
            gpu=None if cpu["default"] == gpu["default"] else gpu["default"],
        )
        for cpu, gpu in zip(on_cpu, on_gpu, strict=True)
    }
    fields = ours.model_fields
    assert fields.keys() == described.keys()
    for name, field in fields.items():
        expected = described[name]
        whole = isinstance(expected.default, int)
        assert (field.default, field.description) == (expected.default, expected.description)
        assert [bound for bound in field.metadata if hasattr(bound, "ge")] == [
            bound for bound in expected.metadata if hasattr(bound, "ge")
        ]
        assert [bound for bound in field.metadata if hasattr(bound, "le")] == [
            bound for bound in expected.metadata if hasattr(bound, "le")
        ]
        assert field.annotation is (int if whole else float)
