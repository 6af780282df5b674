"""Orders that ask something of all their pairs, from claim to archive, with real networks."""

import io
import json
import zipfile
from collections.abc import Sequence
from dataclasses import replace
from typing import Any, ClassVar, Literal

import numpy as np
import pytest
from numpy.typing import NDArray
from sqlalchemy import select

from app.database import Database
from app.jobs.orders import create_job
from app.jobs.tables import Item, Job, Rate
from app.settings import Settings
from app.storage import Storage
from models import selection
from models.likeness import KnownMaps
from models.package import ModelPackage
from models.sampling import (
    DEFAULT_OPTIONS,
    Pair,
    PairSampler,
    SamplingOptions,
    VesselMap,
    pair_seed,
)
from tests.worker.checked import Check, embedded
from tests.zips import maps, pack, vessels
from worker.item import Worker
from worker.png import encode_map, encode_photograph

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


class LesionSampler(PairSampler):
    """Draws the tiny package's pairs, each with a disc and, unless none are asked for, two lesions."""

    asked: ClassVar[list[SamplingOptions]] = []

    def draw_maps(
        self, seeds: Sequence[int], options: SamplingOptions = DEFAULT_OPTIONS
    ) -> list[VesselMap]:
        self.asked.append(options)
        return super().draw_maps(seeds)

    def render(self, maps: Sequence[VesselMap]) -> list[Pair]:
        return [
            replace(pair, disc=disc_of(pair.seed), lesions=lesions_of(self.asked[-1].lesions))
            for pair in super().render(maps)
        ]


def disc_of(seed: int) -> NDArray[np.uint8]:
    disc = np.zeros((64, 64), np.uint8)
    disc[20:30, seed % 32 : seed % 32 + 10] = 255
    return disc


def lesions_of(lesions: str) -> NDArray[np.uint8]:
    drawn = np.zeros((64, 64), np.uint8)
    if lesions != "none":
        drawn[40, 10:13], drawn[50, 30:32] = 1, 2
    return drawn


@pytest.mark.parametrize("lesions", ["none", "all"])
def test_masks_and_lesions(
    worker: Worker,
    db: Database,
    storage: Storage,
    order: Order,
    monkeypatch: pytest.MonkeyPatch,
    lesions: Literal["none", "all"],
) -> None:
    monkeypatch.setattr("worker.model_cache.sampler_of", LesionSampler)
    asked = {"lesions": lesions, "masks": ["disc", "lesions"]}
    archive = opened(storage, made(worker, db, order, **asked))
    assert LesionSampler.asked[-1] == SamplingOptions(lesions=lesions)
    for index in (0, 9):
        disc = archive.read(f"train/discs/{index:06d}.png")
        assert disc == encode_map(disc_of(pair_seed(7, index)))
        assert archive.read(f"train/lesions/{index:06d}.png") == encode_map(lesions_of(lesions))
    manifest = json.loads(archive.read("manifest.json"))
    assert manifest["order"] == order["request"] | asked
    assert f"| Lesions | {lesions}" in archive.read("README.md").decode()


def test_an_order_without_masks_has_the_same_bytes_from_a_model_that_draws_more(
    worker: Worker, db: Database, order: Order, monkeypatch: pytest.MonkeyPatch
) -> None:
    plain = made(worker, db, order)
    monkeypatch.setattr("worker.model_cache.sampler_of", LesionSampler)
    worker._samplers._sampler = None  # loaded anew
    assert (
        made(worker, db, order).volumes[0]["manifest_sha256"] == plain.volumes[0]["manifest_sha256"]
    )


def test_a_resolution_that_the_package_lacks_fails_the_job_at_once(
    worker: Worker, db: Database, order: Order, package: ModelPackage
) -> None:
    job = made(worker, db, order, resolution=128)
    assert job.status == "failed" and job.error is not None
    assert job.error["code"] == "resolution_missing"
    assert "makes pairs of 64 px, not of 128." in job.error["detail"]
    with pytest.raises(ValueError, match="makes pairs of 64 px, not of 128"):
        PairSampler(package, "cpu", 128)


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
