"""A tiny model and orders, as a worker finds them."""

from dataclasses import asdict
from pathlib import Path
from typing import Any

import pytest

from app.database import Database
from app.jobs.leases import Claim, claim_next
from app.jobs.orders import create_job
from app.jobs.tables import JobKind
from app.jobs.terms import new_id
from app.jobs.uploads import create_upload, start_check
from app.settings import Settings
from app.storage import Storage
from app.uploads.pictures import zip_key
from models.package import ModelPackage, load_package, write_tiny_package
from tests.conftest import Parts
from tests.worker.checked import Check, Checked
from worker.item import Worker


@pytest.fixture
def settings(tmp_path: Path, parts: Parts) -> Settings:
    return Settings(
        **asdict(parts), data_dir=tmp_path, models_dir=tmp_path / "packages", device="cpu"
    )


@pytest.fixture
def package(settings: Settings) -> ModelPackage:
    """A tiny package in the folder of packages."""
    return load_package(write_tiny_package(settings.models_dir / "tiny"))


@pytest.fixture
def order(db: Database, package: ModelPackage) -> dict[str, Any]:
    """The arguments of an order of 10 pairs in shards of 4."""
    return {
        "request": {
            "count": 10,
            "resolution": package.resolution,
            "model": f"{package.name}@{package.version}",
            "seed": 7,
        },
        "package_digest": package.digest,
        "shard_pairs": 4,
    }


@pytest.fixture
def claim(db: Database, order: dict[str, Any]) -> Claim:
    """The first shard of an order, in the hands of this test."""
    create_job(db, **order)
    claim = claim_next(db, "this test")
    assert claim is not None
    return claim


@pytest.fixture
def check(settings: Settings, db: Database, storage: Storage) -> Check:
    """Uploads a zip of ``maps`` or ``pairs`` and has a worker check it."""
    worker = Worker(settings, db, storage)

    def upload(kind: str, data: bytes, **options: Any) -> Checked:
        upload_id = new_id(JobKind.UPLOAD)
        with storage.write(zip_key(upload_id)) as file:
            file.write(data)
        create_upload(db, upload_id, request={"kind": kind, "bytes": len(data), **options}, hours=1)
        assert start_check(db, upload_id, len(data))
        assert worker.work()
        assert zip_key(upload_id) not in storage.list()
        return Checked(db, storage, upload_id)

    return upload
