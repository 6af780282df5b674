"""Webhooks of the whole service: its sender runs beside the worker, and only beside."""

import json
import socket
from pathlib import Path
from typing import Any

from standardwebhooks import Webhook

from tests.app.receivers import SECRET, receiver
from tests.service.running import OBSERVED, RunningService, free_ports
from tests.waiting import wait_until


def test_receivers_are_told_and_dead_ones_touch_no_job(tmp_path: Path, models_dir: Path) -> None:
    settings = {
        "webhook_secret": SECRET,
        "webhook_private_targets": True,
        "health_port": free_ports(4),
        **OBSERVED,
    }
    with (
        receiver() as there,
        socket.create_server(("127.0.0.1", 0)) as silent,  # takes connections, and no more
        RunningService(tmp_path / "data", models_dir, **settings) as service,
    ):
        dead = f"http://127.0.0.1:{silent.getsockname()[1]}/"
        nobody = f"http://127.0.0.1:{free_ports(1)}/"
        for url in (nobody, dead, dead):
            service.succeed(service.client.datasets.order(1, webhook={"url": url}))
        service.kill("webhooks")
        job = service.succeed(service.client.datasets.order(9, webhook={"url": there.url()}))
        wait_until(lambda: there.bodies)
        series = "fundusmith_webhook_attempts_total"
        wait_until(lambda: service.metric("webhooks", series, outcome="delivered") == 1)
        assert service.observe("webhooks", "/healthz").status_code == 200
        wait_until(lambda: told(service))  # of nobody
        assert all(line["request_id"] and line["job_id"] for line in told(service))
    assert Webhook(SECRET).verify(there.bodies[0], there.headers[0])["data"]["id"] == job["id"]
    assert json.loads(there.bodies[0])["type"] == "dataset.succeeded"


def told(service: RunningService) -> list[dict[str, Any]]:
    """What the sender has logged of deliveries."""
    lines = (line for line in service.output().splitlines() if line.startswith("{"))
    parsed = [json.loads(line) for line in lines]
    return [line for line in parsed if line["message"].startswith("delivery msg_")]


def test_without_a_secret_there_is_no_sender(service: RunningService) -> None:
    service.succeed(service.client.datasets.order(1))
    assert "webhooks started" not in service.output()
