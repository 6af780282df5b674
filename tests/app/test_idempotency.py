"""POST /datasets with an Idempotency-Key: one order, however often it is sent."""

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

import pytest
from fastapi.testclient import TestClient
from httpx import Response
from sqlalchemy import func, select

from app.deps import Services
from app.jobs.tables import Job
from tests.app.making import make_items
from tests.app.problems import conflict, parameters, problem

Send = Callable[..., Response]


@pytest.fixture
def send(api: TestClient) -> Send:
    def place(key: str = "b1c5", **order: object) -> Response:
        return api.post("/datasets", json=order, headers={"Idempotency-Key": key})

    return place


def jobs(services: Services) -> int:
    with services.db.read() as session:
        return session.scalar(select(func.count()).select_from(Job)) or 0


def test_the_same_order_again_is_answered_with_the_first(send: Send, services: Services) -> None:
    first = send(count=4, resolution=64)
    make_items(services)
    again = send(resolution=64, count=4)
    assert (first.status_code, again.status_code) == (202, 202)
    assert again.headers["location"] == first.headers["location"]
    assert again.json()["status"] == "succeeded"
    assert jobs(services) == 1


def test_quotes_around_a_key_are_not_part_of_it(send: Send) -> None:
    assert send('"b1c5"', count=4).json()["id"] == send("b1c5", count=4).json()["id"]


def test_another_order_with_the_key_is_refused(send: Send, services: Services) -> None:
    send(count=4)
    for other in ({"count": 5}, {"count": 4, "seed": 1}):
        assert parameters(send(**other)) == ["Idempotency-Key"]
    assert jobs(services) == 1


def test_other_keys_are_other_orders(send: Send) -> None:
    assert send("one", count=4).json()["id"] != send("two", count=4).json()["id"]


def test_a_refused_order_does_not_spend_its_key(send: Send) -> None:
    problem(send(count=0), 422)
    assert send(count=1).status_code == 202


def test_the_key_of_a_deleted_data_set_is_spent(api: TestClient, send: Send) -> None:
    api.delete(send(count=4).headers["location"])
    conflict(send(count=4), "Idempotency-Key has been deleted")


@pytest.mark.parametrize("dry_run", [False, True])
@pytest.mark.parametrize("key", ["", '""', "x" * 256, "tab\there", "\x7f"])
def test_a_key_that_cannot_be_used_is_refused(
    api: TestClient, services: Services, key: str, dry_run: bool
) -> None:
    headers = {"Idempotency-Key": key}
    response = api.post(
        "/datasets", json={"count": 4}, headers=headers, params={"dry_run": dry_run}
    )
    assert problem(response, 400)["detail"].startswith("Idempotency-Key: ")
    assert jobs(services) == 0


def test_orders_sent_at_once_are_one(send: Send, services: Services) -> None:
    with ThreadPoolExecutor(8) as threads:
        answers = list(threads.map(lambda _: send(count=4), range(8)))
    assert [answer.status_code for answer in answers] == [202] * 8
    assert len({answer.json()["id"] for answer in answers}) == jobs(services) == 1
