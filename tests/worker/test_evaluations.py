"""Evaluations from the first step to the report, with real networks, a database and a storage."""

import json
from collections.abc import Callable
from itertools import count
from typing import Any, get_args

import pytest

from app.client.steps import Network as AskedNetwork
from app.client.steps import Part
from app.database import Database
from app.evaluations.schemas import EvaluationOrder, Summary
from app.evaluations.split import FEWEST
from app.jobs import evaluations
from app.jobs.evaluations import create_evaluation, report_result, step_names, step_results
from app.jobs.leases import claim_next, complete
from app.jobs.orders import create_job, request_cancel
from app.jobs.sweep import sweep
from app.jobs.tables import Item, ItemState, Job, Role
from app.settings import Settings
from app.storage import Storage
from models.evaluation import gather
from models.evaluation.settings import Arm, EvaluationSettings, Network
from models.evaluation.steps import MEASURES, steps
from models.package import ModelPackage
from tests.worker.checked import Check, embedded
from tests.worker.runs import row, train
from tests.zips import pack, pairs
from worker.evaluation.evaluator import settings_of
from worker.item import Worker


@pytest.fixture
def upload(check: Check) -> Job:
    return check("pairs", pack(pairs(8))).job


@pytest.fixture
def evaluate(db: Database, upload: Job, package: ModelPackage) -> Callable[..., str]:
    """Stores an evaluation of the tiny package by its measures and one fit; its id."""

    def store(digest: str = package.digest, **changes: Any) -> str:
        files = [{"number": number, "file": f"images/{number}.png"} for number in range(8)]
        request = {
            "model": f"{package.name}@{package.version}",
            "dataset": None,
            "upload": upload.id,
            "resolution": package.resolution,
            "train": files[:4],
            "hold_out": files[4:],
            "pairs": 16,
            "seeds": 1,
            "steps": 10,
            "seed": 3,
            "copy_overlap": 0.9,
            "only": ["synthetic"],
            **changes,
        }
        return create_evaluation(
            db,
            request=request,
            package_digest=digest,
            pairs=upload.count,
            check=lambda session, now: None,
        )

    return store


def found(db: Database, storage: Storage, evaluation_id: str) -> dict[str, Any]:
    """What each step has found, but for what differs from time to time."""
    with db.read() as session:
        results = step_results(session, evaluation_id)
    values = {name: json.loads(storage.read(step["values"])) for name, step in results.items()}
    return {name: {**each, "seconds": None} for name, each in values.items()}


@embedded
def test_steps_shared_by_two_workers_end_in_a_report(
    settings: Settings, db: Database, storage: Storage, evaluate: Callable[..., str]
) -> None:
    evaluation_id = evaluate(only=["measures", "real", "synthetic"], network="attention")
    workers = [Worker(settings, db, storage) for _ in range(2)]
    assert not workers[0].work()  # it is for the workers that train
    for number in range(4):
        assert workers[number % 2].work(Role.TRAIN)
    job = row(db, evaluation_id)
    assert (job.status, job.error) == ("succeeded", None)
    assert {"torch", "device", "numpy"} <= (job.environment or {}).keys()
    with db.read() as session:
        written = report_result(session, evaluation_id)
    assert written is not None
    report = json.loads(storage.read(written["report"]))
    assert report["facts"]["pairs"]["train"] == [f"images/{number}.png" for number in range(4)]
    assert report["facts"]["pairs"]["rendered"] == 16
    assert report["useful"]["arms"].keys() == {"real", "synthetic"}
    assert report["useful"]["network"]["class"] == "ScaleAttention"
    assert report["real"]["counts"]["synthetic"] == 16
    summary = Summary(**written["summary"])
    assert summary.f1.keys() == {"real", "synthetic"}
    assert summary.f1["real"] == report["useful"]["arms"]["real"]["in_field"]["f1"]["mean"]
    assert summary.copies == len(report["private"]["maps"]["copies"])
    page = storage.read(written["page"]).decode()
    assert "data:image/png;base64," in page and "<script" not in page


def test_the_pairs_of_a_data_set_are_those_that_were_ordered(
    settings: Settings,
    db: Database,
    storage: Storage,
    evaluate: Callable[..., str],
    order: dict[str, Any],
) -> None:
    request = order["request"] | {"count": 20, "seed": 3, "layout": "webdataset"}
    dataset = create_job(db, **(order | {"request": request}))
    worker = Worker(settings, db, storage)
    while worker.work():
        pass
    assert row(db, dataset).status == "succeeded"
    drawn, ordered = evaluate(), evaluate(dataset=dataset, digest="")
    assert train(worker) == 4
    assert found(db, storage, ordered) == found(db, storage, drawn)
    with db.read() as session:
        written = report_result(session, ordered)
    assert written is not None
    facts = json.loads(storage.read(written["report"]))["facts"]
    assert (facts["order"]["dataset"], facts["pairs"]["rendered"]) == (dataset, 0)


@embedded
def test_a_lost_step_is_taken_again_and_leaves_nothing(
    settings: Settings, db: Database, storage: Storage, evaluate: Callable[..., str]
) -> None:
    evaluation_id = evaluate()
    worker = Worker(settings, db, storage)
    asleep = claim_next(db, "a sleeper", Role.TRAIN.kinds, lease_seconds=-1)
    assert asleep is not None
    late = worker._evaluator.take_step(asleep, lambda done, live: None)
    assert sweep(db, storage).expired == 1
    assert train(worker) == 2
    assert row(db, evaluation_id).status == "succeeded"
    assert not complete(db, asleep, late)
    worker._take_back(asleep)
    assert storage.list(f"jobs/{evaluation_id}/steps/000000-1/") == []
    assert storage.list(f"jobs/{evaluation_id}/steps/000000-2/") != []


@embedded
def test_a_cancelled_step_is_left_between_batches(
    settings: Settings,
    db: Database,
    storage: Storage,
    evaluate: Callable[..., str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("worker.heartbeat.PROGRESS_SECONDS", 0.01)
    evaluation_id = evaluate(steps=1_000, only=["real", "synthetic"])
    calls = count()
    Worker(
        settings,
        db,
        storage,
        lambda: next(calls) == 10 and request_cancel(db, evaluation_id) and False,
    ).work(Role.TRAIN)
    job = row(db, evaluation_id)
    assert (job.status, job.error) == ("cancelled", None)
    with db.read() as session:
        states = session.query(Item.state).filter_by(job_id=evaluation_id).all()
    assert {state for (state,) in states} == {ItemState.DROPPED}
    assert storage.list(f"jobs/{evaluation_id}/") == []


@embedded
def test_a_model_of_another_size_fails_once_and_says_why(
    settings: Settings, db: Database, storage: Storage, evaluate: Callable[..., str]
) -> None:
    evaluation_id = evaluate(resolution=128)
    assert train(Worker(settings, db, storage)) == 1
    job = row(db, evaluation_id)
    assert (job.status, (job.error or {})["code"]) == ("failed", "resolution_missing")
    assert (job.error or {})["detail"].endswith("makes pairs of 64 px, not of 128.")


def test_an_evaluation_of_an_older_version_trains_the_network_that_it_knew() -> None:
    request = {"pairs": 16, "seeds": 1, "steps": 10, "seed": 3, "copy_overlap": 0.9}
    assert settings_of(request).network is Network.U_NET
    assert settings_of(request | {"network": "attention"}).network is Network.ATTENTION


def test_the_api_knows_the_steps_and_settings_of_the_networks() -> None:
    assert (MEASURES, tuple(Arm)) == (evaluations.MEASURES, evaluations.ARMS)
    assert Part.__args__ == evaluations.PARTS
    assert get_args(AskedNetwork) == get_args(evaluations.Network) == tuple(Network)
    assert FEWEST == gather.LEAST
    default = EvaluationSettings()
    fields = EvaluationOrder.model_fields
    for name in ("seeds", "steps", "copy_overlap", "network"):
        assert fields[name].default == getattr(default, name)
    for rendered, parts in ((True, evaluations.PARTS), (False, evaluations.PARTS[:-1])):
        assert tuple(step_names({"only": parts, "seeds": 3})) == steps(default, rendered)
    schema = EvaluationOrder.model_json_schema()["properties"]
    for name in ("pairs", "seeds", "steps", "copy_overlap"):
        bounds = schema[name].get("anyOf", [schema[name]])[0]
        for bound in ("minimum", "maximum"):
            EvaluationSettings(**{name: bounds[bound]})
