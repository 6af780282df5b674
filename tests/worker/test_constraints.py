"""Orders that ask something of all their pairs, from claim to archive, with real networks."""

import io
import json
import zipfile
from typing import Any

import pytest
from sqlalchemy import select

from app.database import Database
from app.jobs.orders import create_job
from app.jobs.tables import Item, Job, Rate
from app.settings import Settings
from app.storage import Storage
from models import selection
from models.likeness import KnownMaps
from models.package import ModelPackage
from models.sampling import PairSampler, SamplingOptions, pair_seed
from tests.worker.checked import Check, embedded
from tests.zips import maps, pack, vessels
from worker.item import Worker
from worker.png import encode_photograph

Order = dict[str, Any]


@pytest.fixture
def worker(settings: Settings, db: Database, storage: Storage) -> Worker:
    return Worker(settings, db, storage)


@pytest.fixture
def sampler(package: ModelPackage) -> PairSampler:
    return PairSampler(package, "cpu")


def made(worker: Worker, db: Database, order: Order, **changes: Any) -> Job:
    """The job of the order, changed in its request, after all its work."""
    job_id = create_job(db, **order | {"request": order["request"] | changes})
    while worker.work():
        pass
    with db.read() as session:
        return session.get_one(Job, job_id)


def opened(storage: Storage, job: Job) -> zipfile.ZipFile:
    assert job.status == "succeeded", job.error
    return zipfile.ZipFile(io.BytesIO(storage.read(job.volumes[0]["key"])))


def usual(sampler: PairSampler, place: int) -> float:
    """The vessel share that this many of 32 maps are below."""
    drawn = [m for i in range(8) for m in sampler.draw_maps([4 * i + k for k in range(4)])]
    return sorted(each.vessel_share for each in drawn)[place]


def test_one_style_and_one_eye(
    worker: Worker, db: Database, storage: Storage, sampler: PairSampler, order: Order
) -> None:
    archive = opened(storage, made(worker, db, order, style_seed=5, eye="left"))
    options = SamplingOptions(style_seed=5, eye="left")
    for index in range(2):
        (pair,) = sampler.sample([pair_seed(7, index)], options)
        png = archive.read(f"train/images/{index:06d}.png")
        assert png == encode_photograph(pair.image)
    manifest = json.loads(archive.read("manifest.json"))
    assert manifest["order"] == order["request"] | {"style_seed": 5, "eye": "left"}
    assert "rejected" not in manifest
    card = archive.read("README.md").decode()
    assert "| Style | one for all photographs, seed 5 |\n| Eye | left |\n| Licence |" in card
    assert "## Selection" not in card


def test_limits_hold_and_are_told(
    worker: Worker, db: Database, storage: Storage, sampler: PairSampler, order: Order
) -> None:
    limits = {
        "vessel_share": {"min": usual(sampler, 10)},
        "minimum_quality": {"connected": 0.5, "contrast": 0.0},
    }
    job = made(worker, db, order, **limits)
    archive = opened(storage, job)
    lines = [json.loads(line) for line in archive.read("train/metadata.jsonl").splitlines()]
    assert len(lines) == 10
    for index, line in enumerate(lines):
        assert line["vessel_share"] >= limits["vessel_share"]["min"]
        assert line["connected"] >= 0.5 and line["contrast"] >= 0
        (pair,) = sampler.sample([line["seed"]])  # it can be made again from its seed alone
        assert archive.read(f"train/images/{index:06d}.png") == encode_photograph(pair.image)
    manifest = json.loads(archive.read("manifest.json"))
    assert manifest["seeds"] == [line["seed"] for line in lines]
    assert manifest["order"] == order["request"] | limits
    rejected = manifest["rejected"]
    assert list(rejected) == ["vessel_share", "connected", "contrast"]
    assert rejected["vessel_share"] > 0
    with db.read() as session:
        results = session.scalars(select(Item.result).where(Item.kind == "shard"))
        shards = [result["rejected"] for result in results]
        assert session.scalars(select(Rate)).all() == []
    assert {name: sum(shard[name] for shard in shards) for name in rejected} == rejected
    card = archive.read("README.md").decode()
    assert f"at least 0.5; {rejected['connected']} turned away" in card

    other = made(worker, db, order | {"shard_pairs": 3}, **limits)
    digests = [each.volumes[0]["manifest_sha256"] for each in (job, other)]
    assert digests[0] == digests[1]


@embedded
def test_every_map_is_held_against_those_to_keep_away_from(
    worker: Worker, db: Database, storage: Storage, sampler: PairSampler, order: Order, check: Check
) -> None:
    upload = check("maps", pack(maps(2))).job
    avoided = {"upload": upload.id, "count": 2, "sha256": upload.index_sha256, "overlap": 1.0}
    archive = opened(storage, made(worker, db, order, not_like=avoided))
    lines = [json.loads(line) for line in archive.read("train/metadata.jsonl").splitlines()]
    known = KnownMaps([sampler.place_map(0, vessels(number), None) for number in range(2)])
    (first,) = sampler.draw_maps([pair_seed(7, 0)])
    assert lines[0]["likeness"] == known.likeness(first) > 0
    assert json.loads(archive.read("manifest.json"))["rejected"] == {"likeness": 0}


def test_limits_that_nothing_is_within_fail_the_job_at_once(
    worker: Worker, db: Database, order: Order, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(selection, "MOST_CANDIDATES", 8)
    job = made(worker, db, order, vessel_share={"min": 0.99, "max": 1.0})
    assert job.status == "failed" and job.error is not None
    assert job.error["code"] == "limits_not_met"
    assert "none of 8 candidates for pair 0" in job.error["detail"]
    assert "where 0.99 to 1 is asked for" in job.error["detail"]
    with db.read() as session:
        items = session.scalars(select(Item).where(Item.job_id == job.id).order_by(Item.ordinal))
        assert [(i.state, i.attempt) for i in items] == [("failed", 1), *[("dropped", 0)] * 3]
