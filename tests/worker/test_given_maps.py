"""Orders that render uploaded maps, from the zip of maps to the zip of pairs."""

import io
import json
import zipfile
from typing import Any

import numpy as np
import pytest
from PIL import Image

from app.database import Database
from app.jobs.orders import create_job
from app.jobs.tables import Job
from app.settings import Settings
from app.storage import Storage
from models.package import ModelPackage
from models.sampling import PairSampler, pair_seed
from tests.worker.checked import Check
from tests.zips import disc, maps, pack, picture, vessels
from worker.item import Worker

MAPS = 3
COUNT = 7

Order = dict[str, Any]


@pytest.fixture
def worker(settings: Settings, db: Database, storage: Storage) -> Worker:
    return Worker(settings, db, storage)


@pytest.fixture
def upload(check: Check) -> Job:
    """Three maps, the second with a mask."""
    return check("maps", pack(maps(MAPS) | {"masks/1_mask.png": picture(disc())})).job


def given(upload: Job) -> dict[str, Any]:
    return {"upload": upload.id, "count": upload.count, "sha256": upload.index_sha256}


def made(worker: Worker, db: Database, order: Order, upload: Job, **changes: Any) -> Job:
    request = order["request"] | {"count": COUNT, "maps": given(upload)} | changes
    job_id = create_job(db, **order | {"request": request})
    while worker.work():
        pass
    with db.read() as session:
        return session.get_one(Job, job_id)


def opened(storage: Storage, job: Job) -> zipfile.ZipFile:
    assert job.status == "succeeded", job.error
    return zipfile.ZipFile(io.BytesIO(storage.read(job.volumes[0]["key"])))


def pixels(archive: zipfile.ZipFile, kind: str, index: int) -> np.ndarray:
    png = archive.read(f"train/{kind}/{index:06d}.png")
    return np.asarray(Image.open(io.BytesIO(png)))


def test_each_map_is_photographed_in_turn(
    worker: Worker,
    db: Database,
    storage: Storage,
    order: Order,
    package: ModelPackage,
    upload: Job,
) -> None:
    archive = opened(storage, made(worker, db, order, upload))
    sampler = PairSampler(package, "cpu")
    lines = archive.read("train/metadata.jsonl").splitlines()
    for index, line in enumerate(map(json.loads, lines)):
        number = index % MAPS
        mask = disc().astype(np.uint8) if number == 1 else None
        placed = sampler.place_map(pair_seed(7, index), vessels(number).astype(np.uint8), mask)
        (pair,) = sampler.render([placed])
        for kind, expected in (
            ("images", pair.image),
            ("labels", pair.label),
            ("masks", pair.mask),
        ):
            np.testing.assert_array_equal(pixels(archive, kind, index), expected)
        assert line["map"].endswith(f"{number}.png")
    assert len(lines) == COUNT
    np.testing.assert_array_equal(pixels(archive, "labels", 0), pixels(archive, "labels", MAPS))
    assert (pixels(archive, "images", 0) != pixels(archive, "images", MAPS)).any()
    order_shown = json.loads(archive.read("manifest.json"))["order"]
    assert order_shown["maps"] == {"count": MAPS, "sha256": upload.index_sha256}
    assert "The maps were\ngiven" in archive.read("README.md").decode()


def test_the_same_maps_give_the_same_bytes_whichever_upload_they_come_from(
    worker: Worker, db: Database, order: Order, check: Check
) -> None:
    uploads = [check("maps", pack(maps(MAPS))).job for _ in range(2)]
    jobs = [
        made(worker, db, order | {"shard_pairs": size}, upload)
        for size, upload in zip((4, 2), uploads, strict=True)
    ]
    first, second = (job.volumes[0]["manifest_sha256"] for job in jobs)
    assert first == second


def test_no_map_is_in_two_splits(
    worker: Worker, db: Database, storage: Storage, order: Order, check: Check
) -> None:
    upload = check("maps", pack(maps(6))).job
    shares = {"train": 0.5, "val": 0.5, "test": 0.0}
    archive = opened(storage, made(worker, db, order, upload, count=18, splits=shares))
    of_split = [
        {json.loads(line)["map"] for line in archive.read(f"{split}/metadata.jsonl").splitlines()}
        for split in ("train", "val")
    ]
    assert all(of_split)
    assert not of_split[0] & of_split[1]


def test_a_map_is_brought_to_the_model(package: ModelPackage) -> None:
    """A wide map of twice the size: padded, made smaller, cut at the field of view."""
    sampler = PairSampler(package, "cpu")
    size = package.resolution
    label = np.zeros((size, 2 * size), np.uint8)
    label[size // 2 - 2 : size // 2 + 2] = 1  # a line across, four pixels thick
    placed = sampler.place_map(1, label, None)
    rows, columns = np.nonzero(placed.label)
    assert set(rows) == {size // 2 - 1, size // 2}
    assert (columns.min(), columns.max()) == (0, size - 1)  # the field reaches as far as they do
    assert placed.field.sum() == pytest.approx(np.pi * (size / 2 - 0.5) ** 2, rel=0.01)
    inner = np.zeros((size, 2 * size), np.uint8)
    inner[:, size // 2 : -size // 2] = 1
    cut = sampler.place_map(1, label, inner)
    assert np.nonzero(cut.label)[1].min() == size // 4


def test_maps_that_are_gone_fail_the_order(
    worker: Worker, db: Database, storage: Storage, order: Order, upload: Job
) -> None:
    storage.delete_prefix(f"jobs/{upload.id}/")
    job = made(worker, db, order, upload)
    assert (job.status, job.error["code"]) == ("failed", "maps_missing")
    assert "Pairs 0 to 3" in job.error["detail"]
