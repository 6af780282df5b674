"""Orders from end to end: API, broker, worker and sweeper as processes of their own."""

import io
import json
import zipfile
from pathlib import Path

import numpy as np
from PIL import Image

from app.database import open_database
from app.jobs.orders import create_job
from models.package import load_package
from models.sampling import PairSampler, pair_seed
from tests.service.running import RunningService


def test_every_state_and_growing_counts(service: RunningService) -> None:
    seen: list[int] = []
    job = service.finish(
        service.client.datasets.order(200, seed=1),
        on_progress=lambda job: seen.append(job["progress"]["generated"]),
    )
    assert job["status"] == "succeeded"
    assert job["progress"] == {
        "requested": 200,
        "generated": 200,
        "packaged": 200,
        "rejected": None,
    }
    times = [job["timestamps"][state] for state in ("queued", "running", "packaging", "succeeded")]
    assert None not in times
    assert times == sorted(times)
    assert seen == sorted(seen)
    assert len(set(seen)) > 3


def test_archive(service: RunningService, tmp_path: Path) -> None:
    job = service.succeed(service.client.datasets.order(5, seed=2))
    path = tmp_path / "dataset.zip"
    job.download(path)
    assert path.stat().st_size == job["archive"]["bytes"]
    with zipfile.ZipFile(path) as archive:
        assert archive.testzip() is None
        assert len(archive.namelist()) == 3 * 5 + 3
        manifest = json.loads(archive.read("manifest.json"))
        for index in range(5):
            name = f"{index:06d}.png"
            image = Image.open(io.BytesIO(archive.read(f"train/images/{name}")))
            label = Image.open(io.BytesIO(archive.read(f"train/labels/{name}")))
            mask = Image.open(io.BytesIO(archive.read(f"train/masks/{name}")))
            assert image.size == label.size == mask.size == (64, 64)
            assert set(np.unique(np.asarray(label))) <= {0, 255}
            assert set(np.unique(np.asarray(mask))) <= {0, 255}
    assert manifest["environments"] == [job["environment"]]


def test_same_order_same_bytes(service: RunningService, tmp_path: Path) -> None:
    for name in ("first.zip", "second.zip"):
        job = service.succeed(service.client.datasets.order(21, seed=3))
        job.download(tmp_path / name)
    assert (tmp_path / "first.zip").read_bytes() == (tmp_path / "second.zip").read_bytes()


def test_pair_made_alone(service: RunningService, models_dir: Path) -> None:
    job = service.succeed(service.client.datasets.order(30, seed=4))
    sampler = PairSampler(load_package(models_dir / "tiny"), "cpu")
    (pair,) = sampler.sample([pair_seed(4, 17)])
    for which in ("image", "label", "mask"):
        png = job.picture(17, which)
        np.testing.assert_array_equal(np.asarray(Image.open(io.BytesIO(png))), getattr(pair, which))


def test_cancel_in_the_middle(service: RunningService, tmp_path: Path) -> None:
    job = service.client.datasets.order(2000, seed=5)
    service.wait_for_pairs(job, 20)
    assert job.cancel()["status"] == "cancelling"
    job = service.finish(job)
    assert job["status"] == "cancelled"
    assert 16 <= job["progress"]["generated"] < 2000
    job.download(tmp_path / "part.zip")
    with zipfile.ZipFile(tmp_path / "part.zip") as archive:
        assert archive.testzip() is None
        assert len(archive.namelist()) == 3 * job["progress"]["generated"] + 3
    service.succeed(service.client.datasets.order(1))  # the worker goes on to other work


def test_lost_hint_is_repaired(service: RunningService, models_dir: Path) -> None:
    """As if the API had died after its commit and before it sent a hint."""
    package = load_package(models_dir / "tiny")
    db = open_database(service.settings)
    job_id = create_job(
        db,
        request={"count": 9, "resolution": 64, "model": "tiny-64@0.0.1", "seed": 6},
        package_digest=package.digest,
        shard_pairs=4,
    )
    db.close()
    service.succeed({"id": job_id})


def test_preview(service: RunningService) -> None:
    job = service.succeed(service.client.datasets.order(3))
    assert Image.open(io.BytesIO(job.preview())).format == "PNG"
