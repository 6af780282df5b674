"""What the API counts, and what it reads from the database when it is asked."""

import pytest
from fastapi.testclient import TestClient
from prometheus_client import REGISTRY

from app.database import Database
from app.jobs.orders import request_cancel
from app.jobs.tables import Job
from app.observability.backlog import Backlog
from tests.app.conftest import Jobs, SteppingClock


def value(name: str, **labels: str) -> float | None:
    return REGISTRY.get_sample_value(f"fundusmith_{name}", labels)


def items(role: str) -> list[float | None]:
    return [value("items", role=role, state=state) for state in ("waiting", "ready", "leased")]


def test_what_waits_is_told(db: Database, jobs: Jobs, clock: SteppingClock) -> None:
    begun = jobs.order(count=8, shard_pairs=4)
    jobs.claim()
    jobs.order(count=4, shard_pairs=4)
    cancelled = jobs.order()
    with db.write() as session:
        session.get_one(Job, cancelled).webhook_url = "https://example.org/"
    request_cancel(db, cancelled, clock)
    clock.step(100)
    backlog = Backlog(db, clock)
    backlog.refresh()
    assert items("generate") == [2, 2, 1]
    assert items("train") == [0, 0, 0]
    assert value("queue_age_seconds", role="generate") == 101  # what is begun does not count
    assert value("jobs", kind="dataset", status="queued") == 1
    assert value("jobs", kind="dataset", status="running") == 1
    assert value("webhook_deliveries", state="pending") == 1
    assert value("webhook_overdue_seconds") == 100

    request_cancel(db, begun, clock)
    backlog.refresh()
    assert items("generate") == [2, 2, 1]  # asked again so soon, it asks nobody
    Backlog(db, clock).refresh()
    assert items("generate") == [2, 1, 1]
    backlog.forget()
    assert items("generate") == [None, None, None]


@pytest.mark.parametrize("parts", ["embedded"], indirect=True)
def test_what_senders_make_up_makes_no_series(api: TestClient) -> None:
    api.get("/datasets/ds_made_up")
    api.get("/made/up")
    api.request("MAKEUP", "/datasets")
    text = api.get("/metrics").text
    assert 'method="GET",route="/datasets/{dataset_id}",status="404"' in text
    assert 'method="GET",route="unmatched",status="404"' in text
    assert 'method="OTHER",route="/datasets",status="405"' in text
    assert "made_up" not in text
    assert "MAKEUP" not in text
