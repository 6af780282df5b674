"""Following a job by server-sent events, over real connections."""

import json
import threading
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from datetime import timedelta
from typing import Any

import httpx2
import pytest
from fastapi import FastAPI
from sqlalchemy.exc import OperationalError

from app import streams
from app.clock import utc_now
from app.deps import Services
from app.jobs.leases import claim_next, complete, renew
from app.jobs.sweep import sweep
from app.main import create_app
from app.problems import EXPIRED
from app.settings import Settings
from tests.app.making import make, make_items
from tests.app.problems import parameters, problem
from tests.app.serving import serve
from tests.waiting import wait_until

Order = Callable[..., str]

MANY = 60  # more than there are threads for requests, or connections to the database


@pytest.fixture
def app(settings: Settings, monkeypatch: pytest.MonkeyPatch) -> FastAPI:
    monkeypatch.setattr(streams, "MOST_STREAMS", MANY)
    return create_app(settings.model_copy(update={"retention_hours": 24}))


@pytest.fixture
def api(app: FastAPI) -> Iterator[httpx2.Client]:
    """A client of the API, which runs behind a real server: events come while it runs."""
    with serve(app) as address, httpx2.Client(base_url=address, timeout=30) as client:
        yield client


class Stream:
    """An open stream of events."""

    def __init__(self, response: httpx2.Response) -> None:
        assert response.status_code == 200
        assert response.headers["content-type"].startswith("text/event-stream")
        assert response.headers["cache-control"] == "no-cache"
        self.lines = response.iter_lines()

    def next(self) -> dict[str, Any] | None:
        """The next event's fields, the data decoded; None when the stream has ended."""
        fields: dict[str, Any] = {}
        for line in self.lines:
            if not line and fields:
                return fields | {"data": json.loads(fields["data"])}
            name, _, value = line.partition(": ")
            if name:
                fields[name] = value
        return None

    def until(self, reached: Callable[[dict[str, Any]], bool]) -> dict[str, Any]:
        """The first event whose job is so."""
        while event := self.next():
            if reached(event["data"]):
                return event
        raise AssertionError("the stream ended before")


Follow = Callable[..., Stream]


@pytest.fixture
def follow(api: httpx2.Client) -> Iterator[Follow]:
    """Opens a stream of the job's events, after the event with the id ``seen`` if that is given."""
    with ExitStack() as stack:

        def open_stream(job_id: str, seen: str | bytes | None = None) -> Stream:
            headers = {} if seen is None else {"Last-Event-ID": seen}
            request = api.stream("GET", f"/datasets/{job_id}/events", headers=headers)
            return Stream(stack.enter_context(request))

        yield open_stream


@pytest.fixture
def services(api: httpx2.Client, app: FastAPI) -> Services:
    return app.state.services


def test_every_change_is_told_up_to_the_end(
    api: httpx2.Client, services: Services, order: Order, follow: Follow
) -> None:
    job_id = order(8)
    assert api.get(f"/datasets/{job_id}").json()["links"]["events"] == f"/datasets/{job_id}/events"
    stream = follow(job_id)
    for status, generated in (("queued", 0), ("running", 4), ("packaging", 8), ("succeeded", 8)):
        event = stream.until(
            lambda job, now=(status, generated): (
                (job["status"], job["progress"]["generated"]) == now
            )
        )
        answer = api.get(f"/datasets/{job_id}")
        assert event["data"] == answer.json()
        assert event["id"] == answer.headers["etag"].strip('"')
        make_items(services, most=1)
    assert stream.next() is None


def test_progress_within_a_shard_is_told(services: Services, order: Order, follow: Follow) -> None:
    stream = follow(order(8))
    claim = claim_next(services.db, "one")
    assert claim is not None
    for pairs in (1, 3):
        renew(services.db, claim, progress=pairs)
        stream.until(lambda job, pairs=pairs: job["progress"]["generated"] == pairs)


def test_what_was_seen_is_not_told_again(services: Services, order: Order, follow: Follow) -> None:
    job_id = order(8)
    seen = follow(job_id).next()
    assert seen is not None
    resumed = follow(job_id, seen["id"])
    claim = claim_next(services.db, "one")
    assert claim is not None
    event = resumed.next()
    assert event is not None
    assert (event["data"]["status"], event["id"] != seen["id"]) == ("running", True)
    assert complete(services.db, claim, make(services, claim))
    assert follow(job_id, event["id"]).next()["data"]["progress"]["generated"] == 4  # type: ignore[index]


@pytest.mark.parametrize("seen", ["0" * 32, "not an id", "", '"quoted"', b"\xe9"])
def test_an_id_that_names_nothing_starts_from_now(
    order: Order, follow: Follow, seen: str | bytes
) -> None:
    event = follow(order(4), seen).next()
    assert event is not None
    assert event["data"]["status"] == "queued"


def test_an_ended_job_is_told_once(
    api: httpx2.Client, services: Services, order: Order, follow: Follow
) -> None:
    job_id = order(4)
    make_items(services)
    stream = follow(job_id)
    last = stream.next()
    assert last is not None
    assert last["data"]["status"] == "succeeded"
    assert stream.next() is None
    again = api.get(f"/datasets/{job_id}/events", headers={"Last-Event-ID": last["id"]})
    assert (again.status_code, again.content) == (204, b"")


@pytest.mark.parametrize("ending", ["cancelled", "deleted"])
def test_a_user_ends_it(api: httpx2.Client, order: Order, follow: Follow, ending: str) -> None:
    home = f"/datasets/{(job_id := order(4))}"
    stream = follow(job_id)
    assert stream.next() is not None
    if ending == "cancelled":
        api.post(f"{home}/cancel")
        event = stream.next()
        assert event is not None
        assert event["data"]["status"] == "cancelled"
    else:
        api.delete(home)
    assert stream.next() is None


def test_what_is_not_there_cannot_be_followed(
    api: httpx2.Client, services: Services, order: Order
) -> None:
    problem(api.get("/datasets/ds_never/events"), 404)
    assert parameters(api.get("/datasets/a%20b/events")) == ["dataset_id"]
    job_id = order(4)
    make_items(services)
    later = utc_now() + timedelta(hours=25)
    assert sweep(services.db, services.storage, clock=lambda: later).outlived == 1
    assert problem(api.get(f"/datasets/{job_id}/events"), 410)["type"] == EXPIRED.uri


def test_many_wait_without_threads_or_connections_and_one_more_is_refused(
    api: httpx2.Client, order: Order, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("app.streams.SHORTEST_PAUSE", 3600)
    job_id = order(4)
    home = f"/datasets/{job_id}"
    with ExitStack() as stack:
        responses = [
            stack.enter_context(api.stream("GET", f"{home}/events")) for _ in range(MANY + 1)
        ]
        refused = responses.pop()
        streams = [Stream(response) for response in responses]
        assert all(stream.next() for stream in streams)
        assert api.get(home).status_code == 200
        refused.read()
        assert "event streams are open" in problem(refused, 503)["detail"]
        assert int(refused.headers["retry-after"]) >= 1

    def is_free() -> bool:
        with api.stream("GET", f"{home}/events") as response:
            return response.status_code == 200

    wait_until(is_free)


def test_refused_streams_are_not_counted(api: httpx2.Client, order: Order) -> None:
    for _ in range(MANY):
        problem(api.get("/datasets/ds_never/events"), 404)
    with api.stream("GET", f"/datasets/{order(4)}/events") as response:
        assert response.status_code == 200


def test_a_quiet_stream_is_kept_alive(
    api: httpx2.Client, order: Order, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("fastapi.routing._PING_INTERVAL", 0.05)
    with api.stream("GET", f"/datasets/{order(4)}/events") as response:
        assert any(line == ": ping" for line in response.iter_lines())


def test_a_database_that_is_away_delays_events(
    api: httpx2.Client,
    services: Services,
    order: Order,
    follow: Follow,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    job_id = order(4)
    stream = follow(job_id)
    assert stream.next() is not None
    failed = threading.Event()

    def fail(*_: object) -> None:
        failed.set()
        raise OperationalError("SELECT secret", {}, Exception("database is locked"))

    with monkeypatch.context() as patch:
        patch.setattr("app.datasets.service.find_dataset", fail)
        assert failed.wait(60)
    make_items(services)
    assert stream.until(lambda job: job["status"] == "succeeded")
    assert stream.next() is None
