"""Webhooks of the whole service: its sender runs beside the worker, and only beside."""

import json
import socket
from pathlib import Path

from standardwebhooks import Webhook

from tests.app.receivers import SECRET, receiver
from tests.service.running import RunningService
from tests.waiting import wait_until


def test_receivers_are_told_and_dead_ones_touch_no_job(tmp_path: Path, models_dir: Path) -> None:
    settings = {"webhook_secret": SECRET, "webhook_private_targets": True}
    with (
        receiver() as there,
        socket.create_server(("127.0.0.1", 0)) as silent,  # takes connections, and no more
        RunningService(tmp_path / "data", models_dir, **settings) as service,
    ):
        dead = f"http://127.0.0.1:{silent.getsockname()[1]}/"
        for _ in range(3):
            service.succeed(service.client.datasets.order(1, webhook={"url": dead}))
        service.kill("webhooks")
        job = service.succeed(service.client.datasets.order(9, webhook={"url": there.url()}))
        wait_until(lambda: there.bodies)
    assert Webhook(SECRET).verify(there.bodies[0], there.headers[0])["data"]["id"] == job["id"]
    assert json.loads(there.bodies[0])["type"] == "dataset.succeeded"


def test_without_a_secret_there_is_no_sender(service: RunningService) -> None:
    service.succeed(service.client.datasets.order(1))
    assert "webhooks started" not in service.output()
