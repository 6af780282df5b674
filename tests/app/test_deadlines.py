"""Orders that must have ended by a time."""

import io
import zipfile
from collections.abc import Callable
from datetime import datetime, timedelta
from typing import Any

import pytest
from fastapi.testclient import TestClient

from app.clock import utc_now
from app.deps import Services
from app.jobs.leases import LeaseState, claim_next, complete, release, renew
from app.jobs.sweep import SweepReport, sweep
from app.jobs.tables import Role
from tests.app.making import make, make_items
from tests.app.problems import pointers

HOUR = timedelta(hours=1)


def in_an_hour() -> str:
    return (utc_now() + HOUR).isoformat()


def sweep_after(services: Services, hours: float) -> SweepReport:
    then = utc_now() + hours * HOUR
    return sweep(services.db, services.storage, clock=lambda: then)


def test_what_is_finished_by_then_can_be_downloaded(
    api: TestClient, services: Services, order: Callable[..., str]
) -> None:
    home = f"/datasets/{order(8, resolution=64, deadline=in_an_hour())}"
    make_items(services, most=1)
    assert sweep_after(services, 0.9).overdue == 0
    assert api.get(home).json()["error"] is None
    assert sweep_after(services, 1.1) == SweepReport(overdue=1, ready={Role.GENERATE: 1})
    make_items(services)
    job = api.get(home).json()
    assert (job["status"], job["error"]["code"]) == ("cancelled", "deadline_exceeded")
    assert "What was finished by then is kept" in job["error"]["detail"]
    archive = services.storage.read(f"jobs/{job['id']}/dataset.zip")
    with zipfile.ZipFile(io.BytesIO(archive)) as opened:
        assert sum("/images/" in name for name in opened.namelist()) == 4
    assert api.head(job["links"]["download"]).status_code == 200
    assert sweep_after(services, 2) == SweepReport()  # that was all
    assert api.get(home).json() == job


def test_a_worker_hears_of_it(services: Services, order: Callable[..., str]) -> None:
    order(4, resolution=64, deadline=in_an_hour())
    claim = claim_next(services.db, "one", lease_seconds=7200)
    assert claim is not None
    assert sweep_after(services, 1.1).overdue == 1
    assert renew(services.db, claim, 1) is LeaseState.CANCELLED
    release(services.db, claim)
    assert sweep_after(services, 1.2) == SweepReport()


def test_packing_that_has_begun_is_kept(
    api: TestClient, services: Services, order: Callable[..., str]
) -> None:
    job_id = order(4, resolution=64, deadline=in_an_hour())
    make_items(services, most=1)
    pack = claim_next(services.db, "one", lease_seconds=7200)
    assert pack is not None and pack.kind == "pack"
    assert sweep_after(services, 1.1).overdue == 1
    assert complete(services.db, pack, make(services, pack))
    job = api.get(f"/datasets/{job_id}").json()
    assert (job["status"], job["error"]["code"]) == ("cancelled", "deadline_exceeded")
    assert job["links"]["download"] is not None


def test_a_job_that_nobody_began(
    api: TestClient, services: Services, order: Callable[..., str]
) -> None:
    home = f"/datasets/{order(4, deadline=in_an_hour())}"
    assert sweep_after(services, 1.1) == SweepReport(overdue=1)
    assert api.get(home).json()["status"] == "cancelled"
    assert claim_next(services.db, "one") is None


def test_a_job_that_has_ended_stays_as_it_is(
    api: TestClient, services: Services, order: Callable[..., str]
) -> None:
    home = f"/datasets/{order(4, resolution=64, deadline=in_an_hour())}"
    make_items(services)
    job = api.get(home).json()
    assert sweep_after(services, 1.1) == SweepReport()
    assert api.get(home).json() == job
    assert (job["status"], job["error"]) == ("succeeded", None)


def test_a_deadline_is_shown_in_utc_and_is_no_part_of_the_request(api: TestClient) -> None:
    order = {"count": 4, "deadline": "2999-05-01t09:30:00.5+09:00"}
    job = api.post("/datasets", json=order).json()
    assert datetime.fromisoformat(job["deadline"]) == datetime.fromisoformat(
        "2999-05-01T00:30:00.500000Z"
    )
    assert "deadline" not in job["request"]
    assert api.post("/datasets", json={"count": 4}).json()["deadline"] is None


@pytest.mark.parametrize(
    "deadline",
    [
        "2020-01-01T00:00:00Z",
        "2999-01-01T00:00:00",
        "2999-01-01",
        "2999-13-01T00:00:00Z",
        "9999-12-31T23:59:59-12:00",
        "soon",
        "32503680000",
        32503680000,
        True,
    ],
)
def test_a_deadline_that_is_none_is_refused(api: TestClient, deadline: Any) -> None:
    response = api.post("/datasets", json={"count": 4, "deadline": deadline})
    assert pointers(response) == ["#/deadline"]


def test_the_same_instant_is_the_same_order(api: TestClient) -> None:
    ids = {
        api.post(
            "/datasets",
            json={"count": 4, "deadline": deadline},
            headers={"Idempotency-Key": "b1c5"},
        ).json()["id"]
        for deadline in ("2999-01-01T12:00:00Z", "2999-01-01T14:00:00+02:00")
    }
    assert len(ids) == 1
