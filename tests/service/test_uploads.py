"""Hostile uploads to the whole service: it refuses them, and goes on with its other work."""

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from app.client import ENDED
from tests.service.running import RunningService
from tests.waiting import wait_until
from tests.worker.test_check_archive import REFUSED
from tests.zips import maps, pack, pairs

LONG = 256 << 20  # bytes
PIECE = 1 << 20
ZIP = {"Content-Type": "application/zip"}


@pytest.fixture
def http(service: RunningService) -> Iterator[httpx.Client]:
    with httpx.Client(base_url=service.address, headers=ZIP, timeout=60) as http:
        yield http


def send(http: httpx.Client, kind: str, content: bytes | Iterator[bytes]) -> str:
    response = http.post("/uploads", params={"kind": kind}, content=content)
    assert response.status_code == 202, response.text
    return response.headers["location"]


def end(http: httpx.Client, home: str) -> dict[str, Any]:
    """The upload once it has been checked."""
    wait_until(lambda: http.get(home).json()["status"] in ENDED)
    return http.get(home).json()


def peak(pid: int) -> int:
    """The most memory, in bytes, that the process has had."""
    (kilobytes,) = re.findall(r"VmHWM:\s+(\d+) kB", Path(f"/proc/{pid}/status").read_text())
    return int(kilobytes) << 10


def test_hostile_uploads_are_refused_beside_an_order(
    service: RunningService, http: httpx.Client
) -> None:
    before = {name: service.pid(name) for name in ("api", "worker", "sweeper")}
    order = service.client.datasets.order(400, seed=11)
    service.wait_for_pairs(order, 1)
    hostile = {case: send(http, "maps", data) for case, (data, _, _) in REFUSED.items()}
    good = send(http, "maps", pack(maps(3))), send(http, "pairs", pack(pairs(3)))
    for case, home in hostile.items():
        upload = end(http, home)
        assert (upload["status"], upload["error"]["code"]) == ("failed", REFUSED[case][1]), case
    for home in good:
        upload = end(http, home)
        assert (upload["status"], upload["count"]) == ("succeeded", 3)
        assert http.get(f"{home}/pictures/2/label").status_code == 200
    service.succeed(order)
    assert {name: service.pid(name) for name in before} == before


def test_a_long_upload_takes_no_memory(service: RunningService, http: httpx.Client) -> None:
    send(http, "maps", bytes(4 * PIECE))  # everything that this needs is imported
    before = peak(service.pid("api"))
    home = send(http, "maps", (bytes(PIECE) for _ in range(LONG // PIECE)))
    assert peak(service.pid("api")) - before < LONG / 8
    upload = end(http, home)
    assert (upload["request"]["bytes"], upload["error"]["code"]) == (LONG, "not_a_zip")
    # Of what was refused nothing but the report is kept.
    kept = service.settings.data_dir / "storage" / "jobs" / upload["id"]
    wait_until(lambda: [path.name for path in kept.iterdir()] == ["report.json"])
