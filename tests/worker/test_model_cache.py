"""Packages that are kept in storage: fetched once, checked, a few of them kept, by many workers."""

import io
import json
import threading
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import delete

from app.clock import utc_now
from app.database import Database
from app.jobs.orders import create_job
from app.jobs.tables import Job
from app.registry.package_zip import write_zip
from app.registry.service import RegisteredModel, Registry
from app.registry.stored import add_package, delete_model
from app.registry.tables import StoredModel
from app.settings import Settings
from app.storage import Storage
from models.package import MANIFEST, VESSEL_WEIGHTS, sha256_of, write_tiny_package
from worker import model_cache
from worker.item import Worker
from worker.model_cache import ModelUnavailable, Packages
from worker.sweeper import sweep_once

MODEL = "tiny-64@0.0.1"


def add(
    settings: Settings, db: Database, storage: Storage, folder: Path, **changes: Any
) -> RegisteredModel:
    """Adds a tiny package with changes in its package.json."""
    write_tiny_package(folder)
    manifest = json.loads((folder / MANIFEST).read_text()) | changes
    (folder / MANIFEST).write_text(json.dumps(manifest))
    file = io.BytesIO()
    write_zip(folder, file)
    return add_package(db, storage, Registry(settings.models_dir), file, "")


@pytest.fixture
def model(settings: Settings, db: Database, storage: Storage, tmp_path: Path) -> RegisteredModel:
    """In storage only: the folder of shipped packages is not even there."""
    return add(settings, db, storage, tmp_path / "made")


@pytest.fixture
def packages(settings: Settings, db: Database, storage: Storage) -> Packages:
    return Packages(settings, db, storage)


def finish(db: Database, worker: Worker, model: RegisteredModel) -> Job:
    """Orders from the model, and works until nothing is left to do."""
    request = {"count": 6, "resolution": 64, "model": model.id, "seed": 7}
    job_id = create_job(db, request=request, package_digest=model.digest, shard_pairs=4)
    while worker.work():
        pass
    with db.read() as session:
        return session.get_one(Job, job_id)


def test_an_order_from_a_stored_model(
    settings: Settings, db: Database, storage: Storage, model: RegisteredModel, tmp_path: Path
) -> None:
    by_storage = finish(db, Worker(settings, db, storage), model)
    assert by_storage.status == "succeeded", by_storage.error
    assert sorted(path.name for path in (settings.data_dir / "models").iterdir()) == [model.digest]
    # The same package as a shipped one makes the same bytes.
    (settings.models_dir).mkdir()
    (tmp_path / "made").rename(settings.models_dir / "made")
    by_folder = finish(db, Worker(settings, db, storage), model)
    digests = [job.volumes[0]["manifest_sha256"] for job in (by_folder, by_storage)]
    assert digests[0] == digests[1]


def test_packing_fetches_no_weights(
    packages: Packages, settings: Settings, model: RegisteredModel
) -> None:
    assert packages.manifest(model.id, model.digest)["name"] == "tiny-64"
    assert not (settings.data_dir / "models").exists()


def test_a_damaged_copy_is_fetched_again(
    settings: Settings, db: Database, storage: Storage, packages: Packages, model: RegisteredModel
) -> None:
    weights = packages.folder(model.id, model.digest) / VESSEL_WEIGHTS
    whole = sha256_of(weights)
    weights.write_bytes(bytes(100))
    job = finish(db, Worker(settings, db, storage), model)
    assert (job.status, sha256_of(weights)) == ("succeeded", whole)


def test_weights_that_do_not_fit_fail_the_order_with_the_reason(
    settings: Settings, db: Database, storage: Storage, model: RegisteredModel, tmp_path: Path
) -> None:
    networks = json.loads((tmp_path / "made" / MANIFEST).read_text())["networks"]
    networks["translator"]["config"]["blocks"] = 2
    other = add(settings, db, storage, tmp_path / "other", version="0.0.2", networks=networks)
    job = finish(db, Worker(settings, db, storage), other)
    assert (job.status, job.error["code"]) == ("failed", "model_damaged")
    assert "translator.safetensors: weights do not fit" in job.error["detail"]


def test_a_package_damaged_in_storage_is_not_used(
    settings: Settings, db: Database, storage: Storage, packages: Packages, model: RegisteredModel
) -> None:
    data = bytearray(storage.read(model.key))
    data[len(data) // 2] ^= 1
    with storage.write(model.key) as file:
        file.write(data)
    with pytest.raises(ModelUnavailable) as caught:
        packages.folder(model.id, model.digest)
    assert caught.value.code == "model_damaged"
    assert list((settings.data_dir / "models").iterdir()) == []


@pytest.mark.parametrize("lost", ["zip", "row"])
def test_a_package_that_is_nowhere(
    db: Database, storage: Storage, packages: Packages, model: RegisteredModel, lost: str
) -> None:
    storage.delete(model.key)
    if lost == "row":
        with db.write() as session:
            session.execute(delete(StoredModel))
    with pytest.raises(ModelUnavailable, match=MODEL) as caught:
        packages.folder(model.id, model.digest)
    assert caught.value.code == "model_missing"


@pytest.mark.parametrize("parts", ["embedded"], indirect=True)
def test_workers_that_need_it_at_once_find_it_whole(
    settings: Settings, db: Database, storage: Storage, model: RegisteredModel
) -> None:
    start = threading.Barrier(4)

    def look(_: int) -> list[str]:
        packages = Packages(settings, db, storage)
        start.wait()
        return sorted(path.name for path in packages.folder(model.id, model.digest).iterdir())

    with ThreadPoolExecutor(4) as workers:
        found = list(workers.map(look, range(4)))
    assert found == [sorted([*model.manifest.files, MANIFEST])] * 4
    assert [path.name for path in (settings.data_dir / "models").iterdir()] == [model.digest]


@pytest.mark.parametrize("parts", ["embedded"], indirect=True)
def test_only_the_last_ones_used_are_kept(
    settings: Settings,
    db: Database,
    storage: Storage,
    packages: Packages,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(model_cache, "KEPT", 2)
    versions = ("0.0.1", "0.0.2", "0.0.3")
    first, second, third = (
        add(settings, db, storage, tmp_path / version, version=version) for version in versions
    )
    for model in (first, second, first, third):
        packages.folder(model.id, model.digest)
    kept = {path.name for path in (settings.data_dir / "models").iterdir()}
    assert kept == {first.digest, third.digest}


def test_the_sweeper_removes_the_zip_of_a_deleted_model(
    settings: Settings, db: Database, storage: Storage, model: RegisteredModel
) -> None:
    sweep_once(settings, db, storage)
    assert storage.list() == [model.key]
    assert delete_model(db, model, lambda: utc_now() - timedelta(hours=1))
    sweep_once(settings, db, storage)
    assert storage.list() == []
