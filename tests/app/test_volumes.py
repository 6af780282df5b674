"""Orders in several volumes: packed by several workers, shown, downloaded, cancelled."""

import zipfile
from collections.abc import Callable
from pathlib import Path

import pytest
from fastapi.testclient import TestClient

from app.client import Client
from app.database import Database
from app.datasets import pictures
from app.deps import Services
from app.jobs.leases import claim_next, complete, fail, release
from app.jobs.orders import request_cancel, request_delete
from app.jobs.sweep import sweep
from app.main import create_app
from app.settings import Settings
from app.storage import Storage
from tests.app.conftest import Jobs, result_of
from tests.app.making import make, make_items, picture
from tests.app.problems import parameters, pointers, problem
from tests.app.serving import serve

Order = Callable[..., str]


@pytest.fixture
def packing(jobs: Jobs) -> str:
    """A job of ten pairs whose three volumes wait to be packed."""
    job_id = jobs.order(count=10, shard_pairs=2, volume_pairs=4)
    for _ in range(5):
        jobs.finish(jobs.claim())
    assert jobs.row(job_id).status == "packaging"
    return job_id


def test_workers_share_the_volumes(db: Database, jobs: Jobs, packing: str) -> None:
    claims = [jobs.claim(worker_id) for worker_id in ("one", "two", "three")]
    assert [(c.kind, c.volume, c.first, c.count) for c in claims] == [
        ("pack", 1, 0, 4), ("pack", 2, 4, 4), ("pack", 3, 8, 2),
    ]  # fmt: skip
    for claim in (claims[2], claims[0]):
        assert jobs.finish(claim)
        assert jobs.row(packing).status == "packaging"
    assert jobs.finish(claims[1])
    job = jobs.row(packing)
    assert job.status == "succeeded"
    assert [(volume["number"], volume["pairs"]) for volume in job.volumes or []] == [
        (1, 4), (2, 4), (3, 2),
    ]  # fmt: skip


def test_a_lost_worker_loses_one_volume(
    db: Database, jobs: Jobs, storage: Storage, packing: str
) -> None:
    jobs.finish(jobs.claim())
    lost = jobs.claim()
    jobs.clock.step(60)
    assert sweep(db, storage, clock=jobs.clock).expired == 1
    again = jobs.claim()
    assert (again.volume, again.attempt) == (lost.volume, 2)
    assert jobs.finish(again)
    assert not jobs.finish(lost)  # packed twice, and counted once
    jobs.finish(jobs.claim())
    job = jobs.row(packing)
    assert (job.status, len(job.volumes or [])) == ("succeeded", 3)


def test_a_volume_that_cannot_be_packed_fails_the_job(
    db: Database, jobs: Jobs, packing: str
) -> None:
    jobs.finish(jobs.claim())
    for _ in range(3):
        fail(db, jobs.claim(), "broken", "Broken.", clock=jobs.clock)
    assert jobs.row(packing).status == "failed"
    assert jobs.states(packing)[5:] == ["done", "failed", "dropped"]


def test_a_job_cancelled_while_it_is_packed_packs_the_rest(
    db: Database, jobs: Jobs, packing: str
) -> None:
    first = jobs.claim()
    request_cancel(db, packing, clock=jobs.clock)
    release(db, first, clock=jobs.clock)
    for _ in range(3):
        assert jobs.row(packing).status == "cancelling"
        jobs.finish(jobs.claim())
    job = jobs.row(packing)
    assert (job.status, len(job.volumes or [])) == ("cancelled", 3)


def test_a_job_deleted_while_it_is_packed_packs_no_more(
    db: Database, jobs: Jobs, packing: str
) -> None:
    jobs.finish(jobs.claim())
    request_delete(db, packing, clock=jobs.clock)
    assert claim_next(db, "two", clock=jobs.clock) is None
    assert jobs.row(packing).status == "cancelled"


def test_a_cancelled_job_packs_the_volumes_that_have_pairs(db: Database, jobs: Jobs) -> None:
    job_id = jobs.order(count=12, shard_pairs=2, volume_pairs=4)
    shards = [jobs.claim(f"worker {n}") for n in range(6)]
    for claim in (shards[0], shards[5]):  # of the first volume and of the third
        jobs.finish(claim)
    request_cancel(db, job_id, clock=jobs.clock)
    for claim in shards[1:5]:
        release(db, claim, clock=jobs.clock)
    claims = [jobs.claim(), jobs.claim()]
    assert [claim.volume for claim in claims] == [1, 3]
    assert claim_next(db, "another", clock=jobs.clock) is None
    for claim in claims:
        complete(db, claim, result_of(claim) | {"pairs": 2}, clock=jobs.clock)
    assert jobs.row(job_id).status == "cancelled"
    items = jobs.items(job_id)[6:]
    assert [(item.state, item.progress) for item in items] == [
        ("done", 2), ("dropped", 0), ("done", 2),
    ]  # fmt: skip


def test_over_http(api: TestClient, services: Services, order: Order) -> None:
    home = f"/datasets/{order(10, resolution=64, volume_pairs=4)}"
    make_items(services)
    job = api.get(home).json()
    assert job["request"]["volume_pairs"] == 4
    assert job["progress"] == {"requested": 10, "generated": 10, "packaged": 10, "rejected": None}
    archive = job["archive"]
    assert archive["manifest_sha256"] is job["links"]["download"] is None
    assert [volume["pairs"] for volume in archive["volumes"]] == [4, 4, 2]
    assert archive["bytes"] == sum(volume["bytes"] for volume in archive["volumes"])
    for volume in archive["volumes"]:
        assert volume["download"] == f"{home}/download?volume={volume['number']}"
        head = api.head(volume["download"])
        assert int(head.headers["content-length"]) == volume["bytes"]
        assert head.headers["etag"] == f'"{volume["manifest_sha256"]}"'
        assert f"-00{volume['number']}.zip" in head.headers["content-disposition"]
    response = api.get(f"{home}/download")
    assert parameters(response) == ["volume"]
    assert "1, 2, 3" in problem(response, 422)["detail"]
    problem(api.get(f"{home}/download?volume=4"), 404)
    assert parameters(api.get(f"{home}/download?volume=0")) == ["volume"]
    for index in (0, 5, 9):
        assert api.get(f"{home}/pairs/{index}/image").content == picture(index, "image")


def test_the_only_volume_may_be_named(api: TestClient, services: Services, order: Order) -> None:
    home = f"/datasets/{order(4, resolution=64, volume_pairs=4)}"
    make_items(services)
    job = api.get(home).json()
    assert job["request"]["volume_pairs"] is None
    assert [volume["number"] for volume in job["archive"]["volumes"]] == [1]
    named = {"x-request-id": "one-for-both"}
    volume = api.head(f"{home}/download?volume=1", headers=named)
    assert volume.headers == api.head(job["links"]["download"], headers=named).headers
    problem(api.get(f"{home}/download?volume=2"), 404)


def test_pictures_while_the_volumes_are_packed(
    api: TestClient, services: Services, order: Order, monkeypatch: pytest.MonkeyPatch
) -> None:
    home = f"/datasets/{order(8, resolution=64, volume_pairs=4)}"
    make_items(services, most=3)  # two shards and the first volume, whose segments are gone
    assert api.get(home).json()["progress"]["packaged"] == 4
    assert api.get(home).json()["archive"] is None
    problem(api.get(f"{home}/download?volume=1"), 409)
    read_pair, calls = pictures.read_pair, []

    def read_late(*place: object) -> bytes:
        if not calls:
            calls.append(place)
            make_items(services)  # the second, too
        return read_pair(*place)  # type: ignore[arg-type]

    for index in (1, 6):
        assert api.get(f"{home}/pairs/{index}/label").content == picture(index, "label")
    monkeypatch.setattr(pictures, "read_pair", read_late)
    assert api.get(f"{home}/pairs/6/label").content == picture(6, "label")
    assert calls


def test_a_cancelled_job(api: TestClient, services: Services, order: Order) -> None:
    home = f"/datasets/{order(12, resolution=64, volume_pairs=4)}"
    claims = [claim_next(services.db, f"worker {n}") for n in range(3)]
    assert claims[0] and claims[1] and claims[2]
    complete(services.db, claims[1], make(services, claims[1]))
    api.post(f"{home}/cancel")
    for claim in (claims[0], claims[2]):
        release(services.db, claim)
    make_items(services)
    job = api.get(home).json()
    (volume,) = job["archive"]["volumes"]
    assert (job["status"], volume["number"], volume["pairs"]) == ("cancelled", 2, 4)
    assert job["progress"] == {"requested": 12, "generated": 4, "packaged": 4, "rejected": None}
    assert api.head(job["links"]["download"]).headers["content-length"] == str(volume["bytes"])
    problem(api.get(f"{home}/download?volume=1"), 404)


def test_the_client_downloads_all(settings: Settings, tmp_path: Path) -> None:
    app = create_app(settings)
    with serve(app) as address, Client(address) as client:
        job = client.datasets.order(10, resolution=64, volume_pairs=4)
        make_items(app.state.services)
        paths = job.download(tmp_path / "dataset.zip")
    assert [path.name for path in paths] == [f"dataset-00{n}.zip" for n in (1, 2, 3)]
    names = [name for path in paths for name in zipfile.ZipFile(path).namelist()]
    assert sum(name.endswith(".png") for name in names) == 30


def test_the_plan_depends_on_the_order_alone(api: TestClient) -> None:
    def planned(count: int, **fields: object) -> int | None:
        quote = api.post("/datasets", json={"count": count, **fields}, params={"dry_run": True})
        return quote.json()["request"]["volume_pairs"]

    assert planned(100_000) is None
    assert planned(100_001) == 100_000
    assert planned(10, volume_pairs=10) is None
    assert planned(10, volume_pairs=9) == 9
    assert planned(1_000, volume_pairs=300, layout="webdataset") == 512
    refused = api.post("/datasets", json={"count": 10_001, "volume_pairs": 10})
    assert pointers(refused) == ["#/volume_pairs"]
    assert "at least 11" in refused.json()["detail"]
