"""Data sets that are kept for a time."""

from collections.abc import Callable, Iterator
from datetime import datetime, timedelta

import pytest
from fastapi.testclient import TestClient

from app.clock import utc_now
from app.deps import Services
from app.jobs.sweep import sweep
from app.main import create_app
from app.problems import EXPIRED
from app.settings import Settings
from tests.app.making import make_items
from tests.app.problems import problem


@pytest.fixture
def api(settings: Settings) -> Iterator[TestClient]:
    """An API whose data sets are kept for a day."""
    with TestClient(create_app(settings.model_copy(update={"retention_hours": 24}))) as client:
        yield client


def sweep_after(services: Services, hours: float) -> int:
    """How many data sets expire that long from now."""
    then = utc_now() + timedelta(hours=hours)
    return sweep(services.db, services.storage, clock=lambda: then).outlived


def test_its_time_begins_with_its_end(
    api: TestClient, services: Services, order: Callable[..., str]
) -> None:
    job_id = order(8)
    assert api.get(f"/datasets/{job_id}").json()["expires_at"] is None
    assert sweep_after(services, 1000) == 0
    make_items(services)
    job = api.get(f"/datasets/{job_id}").json()
    ended, expires = (
        datetime.fromisoformat(text) for text in (job["timestamps"]["succeeded"], job["expires_at"])
    )
    assert expires - ended == timedelta(hours=24)


def test_an_expired_data_set_says_so_and_takes_no_room(
    api: TestClient, services: Services, order: Callable[..., str]
) -> None:
    home, kept = (f"/datasets/{order(8, resolution=64)}" for _ in range(2))
    make_items(services, most=3)  # the first order's two shards and its packing
    assert sweep_after(services, 23.9) == 0
    assert sweep_after(services, 24.1) == 1
    assert sweep_after(services, 24.1) == 0
    job = api.get(home).json()
    assert job["status"] == "expired"
    assert job["links"]["download"] is None
    assert job["progress"] == {"requested": 8, "generated": 8, "packaged": 8, "rejected": None}
    assert job["timestamps"]["succeeded"] < job["expires_at"] <= job["timestamps"]["expired"]
    for path in ("download", "preview", "pairs/0/image"):
        assert problem(api.get(f"{home}/{path}"), 410)["type"] == EXPIRED.uri
    assert services.storage.list(f"jobs/{job['id']}/") == []
    assert api.get(kept).json()["status"] == "queued"


def test_cancelled_ones_expire_and_expired_ones_can_be_deleted(
    api: TestClient, services: Services, order: Callable[..., str]
) -> None:
    home = f"/datasets/{order(8)}"
    api.post(f"{home}/cancel")
    assert sweep_after(services, 25) == 1
    assert api.post(f"{home}/cancel").json()["status"] == "expired"
    assert api.delete(home).status_code == 204
    problem(api.get(home), 404)


def test_without_the_setting_they_stay(
    settings: Settings, services: Services, order: Callable[..., str]
) -> None:
    with TestClient(create_app(settings)) as forever:
        forever.post("/datasets", json={"count": 4})
        make_items(services)
        assert sweep_after(services, 24 * 365) == 0
