"""The health server of processes that serve nothing else."""

import httpx2

from app.observability.health import serve_health
from app.observability.pulse import Pulse
from app.settings import Settings
from tests.service.running import free_ports
from tests.waiting import wait_until


def test_only_silence_that_was_not_announced_is_a_fault() -> None:
    settings = Settings(health_port=free_ports(1), stall_seconds=0.3)
    busy, resting = Pulse(), Pulse()
    serve_health(settings, {"busy": busy, "resting": resting})

    def health() -> httpx2.Response:
        return httpx2.get(f"http://127.0.0.1:{settings.health_port}/healthz")

    assert health().status_code == 200  # neither has begun
    resting.beat()
    silent = Pulse()
    silent.beat()
    while silent.silence < 2 * settings.stall_seconds:
        busy.beat()
        resting.rest()
        assert health().status_code == 200
    wait_until(lambda: health().status_code == 503)
    assert health().json() == {"status": "stalled", "stalled": ["busy"]}
    busy.rest()
    assert health().json() == {"status": "alive"}
    assert httpx2.get(f"http://127.0.0.1:{settings.health_port}/elsewhere").status_code == 404
