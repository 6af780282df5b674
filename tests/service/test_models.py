"""A model from import to deletion, in the whole service."""

import io
import json
import zipfile
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest

from app.registry.package_zip import write_zip
from models.package import MANIFEST, VESSEL_WEIGHTS, write_tiny_package
from tests.app.test_package_zip import BAD_WEIGHTS, REFUSED
from tests.service.running import RunningService

ZIP = {"Content-Type": "application/zip"}


@pytest.fixture
def http(service: RunningService) -> Iterator[httpx.Client]:
    with httpx.Client(base_url=service.address, timeout=60, follow_redirects=True) as http:
        yield http


@pytest.fixture
def package(tmp_path: Path) -> bytes:
    """The zip of a model, mine@2.0.0, that no folder of the service has."""
    folder = write_tiny_package(tmp_path / "mine")
    manifest = json.loads((folder / MANIFEST).read_text())
    (folder / MANIFEST).write_text(json.dumps(manifest | {"name": "mine", "version": "2.0.0"}))
    file = io.BytesIO()
    write_zip(folder, file)
    return file.getvalue()


def test_a_model_is_imported_ordered_from_exported_and_deleted(
    service: RunningService, http: httpx.Client, package: bytes, tmp_path: Path
) -> None:
    for case, (data, *_) in REFUSED.items():
        assert http.post("/models", content=data, headers=ZIP).status_code == 422, case
    assert http.post("/models", content=BAD_WEIGHTS["a pickle"], headers=ZIP).status_code == 422
    response = http.post("/models", content=package, headers=ZIP)
    assert response.status_code == 201, response.text
    model = response.json()

    job = service.client.datasets.order(500, seed=5, model="mine")
    assert http.delete(model["links"]["self"]).status_code == 409
    service.wait_for_pairs(job, 1)
    job.cancel()
    service.finish(job)
    job = service.succeed(service.client.datasets.order(20, seed=5, model="mine"))
    job.download(tmp_path / "dataset.zip")
    with zipfile.ZipFile(tmp_path / "dataset.zip") as archive:
        assert archive.testzip() is None
        made = json.loads(archive.read("manifest.json"))
    assert (made["counts"]["pairs"], made["order"]["model"]) == (20, "mine@2.0.0")
    assert made["package"]["digest"] == model["digest"]
    unpacked = service.settings.data_dir / "models" / model["digest"]
    assert (unpacked / VESSEL_WEIGHTS).is_file()

    assert http.get(model["links"]["export"]).content == package
    assert http.delete(model["links"]["self"]).status_code == 204
    assert http.post("/datasets", json={"count": 1, "model": "mine"}).status_code == 422
    assert http.post("/models", content=package, headers=ZIP).status_code == 409
