"""GET /usage: pairs and seconds of devices, a day at a time."""

from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import pytest
from fastapi.testclient import TestClient

from app.deps import Services
from app.jobs.sweep import sweep
from app.main import create_app
from app.settings import Access, Settings
from tests.app.callers import Headers, caller
from tests.app.conftest import Jobs, SteppingClock
from tests.app.problems import parameters

DAY = 86_400


@pytest.fixture
def api(settings: Settings, clock: SteppingClock) -> Iterator[TestClient]:
    """An API that asks for keys and lives in the test's time."""
    app = create_app(settings.model_copy(update={"access": Access.REQUIRED}))
    with TestClient(app) as client:
        app.state.services = replace(app.state.services, clock=clock)
        yield client


@pytest.fixture
def alice(services: Services) -> Headers:
    return caller(services, "alice")


def make(api: TestClient, jobs: Jobs, headers: Headers, count: int) -> str:
    """Orders a data set, has it made and returns its path. A pair takes half a second."""
    home = api.post("/datasets", json={"count": count}, headers=headers).headers["location"]
    jobs.finish_all()
    return home


def usage(api: TestClient, headers: Headers, **query: Any) -> dict[str, Any]:
    response = api.get("/usage", headers=headers, params=query)
    assert response.status_code == 200, response.text
    return response.json()


def test_every_day_is_summed_up(
    api: TestClient, jobs: Jobs, alice: Headers, clock: SteppingClock
) -> None:
    assert usage(api, alice) == {"owner": "alice", "pairs": 0, "device_seconds": 0, "days": []}
    make(api, jobs, alice, 10)
    clock.step(2 * DAY)
    make(api, jobs, alice, 3)
    make(api, jobs, alice, 4)
    assert usage(api, alice) == {
        "owner": "alice",
        "pairs": 17,
        "device_seconds": 8.5,
        "days": [
            {"day": "2026-01-03", "pairs": 7, "device_seconds": 3.5},
            {"day": "2026-01-01", "pairs": 10, "device_seconds": 5.0},
        ],
    }
    assert usage(api, alice, days=2)["pairs"] == 7
    assert usage(api, alice, days=3)["pairs"] == 17


def test_each_owner_has_their_own(
    api: TestClient, services: Services, jobs: Jobs, alice: Headers
) -> None:
    make(api, jobs, alice, 10)
    assert usage(api, caller(services, "bob"))["pairs"] == 0
    assert usage(api, caller(services, "alice"))["pairs"] == 10


def test_only_what_was_made_counts(api: TestClient, jobs: Jobs, alice: Headers) -> None:
    home = api.post("/datasets", json={"count": 10}, headers=alice).headers["location"]
    jobs.finish(jobs.claim())  # the first shard of four pairs
    api.post(f"{home}/cancel", headers=alice)
    assert usage(api, alice)["pairs"] == 4


def test_a_lost_completion_is_not_counted_again(
    api: TestClient, jobs: Jobs, alice: Headers
) -> None:
    api.post("/datasets", json={"count": 4}, headers=alice)
    claim = jobs.claim()
    assert [jobs.finish(claim), jobs.finish(claim)] == [True, False]
    assert usage(api, alice)["pairs"] == 4


def test_it_outlives_the_data_sets(
    api: TestClient, services: Services, jobs: Jobs, alice: Headers
) -> None:
    api.delete(make(api, jobs, alice, 10), headers=alice)
    assert sweep(services.db, services.storage).purged == 1
    assert usage(api, alice)["pairs"] == 10


def test_without_keys_it_is_nobodys(settings: Settings, jobs: Jobs, clock: SteppingClock) -> None:
    app = create_app(settings)
    with TestClient(app) as api:
        app.state.services = replace(app.state.services, clock=clock)
        make(api, jobs, {}, 10)
        assert (usage(api, {})["owner"], usage(api, {})["pairs"]) == ("", 10)


@pytest.mark.parametrize("days", [0, 367, "all"])
def test_a_wrong_number_of_days_is_named(api: TestClient, alice: Headers, days: object) -> None:
    assert parameters(api.get("/usage", params={"days": days}, headers=alice)) == ["days"]
