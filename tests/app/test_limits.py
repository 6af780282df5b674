"""What one owner may ask for: requests, unfinished pairs, pairs a day."""

from collections.abc import Callable, Iterator
from dataclasses import replace
from typing import Any

import pytest
from fastapi.testclient import TestClient
from httpx2 import Response

from app.deps import Services
from app.jobs.leases import fail
from app.main import create_app
from app.problems import LIMIT_EXCEEDED
from app.settings import Access, Settings
from tests.app.callers import Headers, caller
from tests.app.conftest import Jobs, SteppingClock
from tests.app.problems import pointers, problem
from tests.app.test_concurrency import at_once

Open = Callable[..., TestClient]


@pytest.fixture
def opened(settings: Settings, clock: SteppingClock) -> Iterator[Open]:
    """Opens APIs with these limits, on one database and in the test's time."""
    clients: list[TestClient] = []

    def open_api(access: Access = Access.REQUIRED, **limits: int) -> TestClient:
        app = create_app(settings.model_copy(update={"access": access, **limits}))
        client = TestClient(app, raise_server_exceptions=False).__enter__()
        clients.append(client)
        app.state.services = replace(app.state.services, clock=clock)
        return client

    yield open_api
    for client in clients:
        client.__exit__()


def parts(api: TestClient) -> Services:
    return api.app.state.services  # type: ignore[attr-defined]


def order(api: TestClient, headers: Headers, count: int = 1, **parameters: Any) -> Response:
    return api.post("/datasets", json={"count": count}, headers=headers, params=parameters)


def refusal(response: Response) -> tuple[str, int, int]:
    """The limit that a 429 names, its number, and after how many seconds to come again."""
    document = problem(response, 429)
    assert document["type"] == LIMIT_EXCEEDED.uri
    assert ("used" in document) == document["limit"].startswith("quota_")
    assert str(document["allowed"]) in document["detail"]
    return document["limit"], document["allowed"], int(response.headers["retry-after"])


def test_requests_are_allowed_again_as_time_goes_by(opened: Open, clock: SteppingClock) -> None:
    api = opened(requests_per_minute=3)
    alice = caller(parts(api), "alice")
    assert [order(api, alice).status_code for _ in range(3)] == [202] * 3
    assert refusal(order(api, alice)) == ("requests_per_minute", 3, 20)
    clock.step(19)
    assert refusal(order(api, alice)) == ("requests_per_minute", 3, 1)
    clock.step(1)
    assert order(api, alice).status_code == 202
    assert refusal(order(api, alice)) == ("requests_per_minute", 3, 20)
    clock.step(86_400)
    assert [order(api, alice).status_code for _ in range(4)] == [202] * 3 + [429]


def test_quotes_and_contact_sheets_count_too(opened: Open) -> None:
    api = opened(requests_per_minute=3)
    alice = caller(parts(api), "alice")
    home = order(api, alice).headers["location"]
    assert order(api, alice, dry_run=True).status_code == 200
    problem(api.get(f"{home}/preview", headers=alice), 409)  # none there yet
    refusal(order(api, alice, dry_run=True))
    refusal(api.get(f"{home}/preview", headers=alice))


def test_watching_and_ending_is_not_limited(opened: Open) -> None:
    api = opened(requests_per_minute=1)
    alice = caller(parts(api), "alice")
    home = order(api, alice).headers["location"]
    refusal(order(api, alice))
    for path in [home, "/datasets", "/usage"] * 3:
        assert api.get(path, headers=alice).status_code == 200
    assert api.post(f"{home}/cancel", headers=alice).status_code == 200
    assert api.delete(home, headers=alice).status_code == 204


def test_the_keys_of_one_owner_share_a_limit_over_all_processes(opened: Open) -> None:
    one, other = opened(requests_per_minute=2), opened(requests_per_minute=2)
    keys = [caller(parts(one), owner) for owner in ("alice", "alice", "bob")]
    assert order(one, keys[0]).status_code == 202
    assert order(other, keys[1]).status_code == 202
    refusal(order(one, keys[1]))
    refusal(order(other, keys[0]))
    assert order(other, keys[2]).status_code == 202


def test_requests_at_once_are_each_counted(opened: Open) -> None:
    api = opened(requests_per_minute=3)
    alice = caller(parts(api), "alice")
    answers = at_once([lambda: order(api, alice).status_code] * 8)
    assert sorted(answers) == [202] * 3 + [429] * 5


def test_without_keys_nothing_is_limited(opened: Open) -> None:
    api = opened(Access.OFF, requests_per_minute=1, quota_unfinished_pairs=1, quota_pairs_per_day=1)
    assert [order(api, {}, 5).status_code for _ in range(3)] == [202] * 3


def test_unfinished_orders_have_a_quota(opened: Open, jobs: Jobs) -> None:
    api = opened(quota_unfinished_pairs=10)
    alice, bob = (caller(parts(api), owner) for owner in ("alice", "bob"))
    home = order(api, alice, 8).headers["location"]
    response = order(api, alice, 3)
    # The package expects a pair to take 0.25 seconds; then the 8 pairs are done.
    assert refusal(response) == ("quota_unfinished_pairs", 10, 2)
    assert response.json()["used"] == 8
    assert order(api, bob, 10).status_code == 202
    assert order(api, alice, 2).status_code == 202
    assert api.post(f"{home}/cancel", headers=alice).status_code == 200
    assert order(api, alice, 8).status_code == 202
    refusal(order(api, alice, 1))
    jobs.finish_all()
    assert order(api, alice, 10).status_code == 202


def test_a_day_has_a_quota(opened: Open, clock: SteppingClock, jobs: Jobs) -> None:
    api = opened(quota_pairs_per_day=10)
    alice = caller(parts(api), "alice")
    home = order(api, alice, 8).headers["location"]
    jobs.finish_all()
    assert api.delete(home, headers=alice).status_code == 204  # which gives nothing back
    clock.step(22 * 3600)
    response = order(api, alice, 3)
    assert refusal(response) == ("quota_pairs_per_day", 10, 2 * 3600)
    assert response.json()["used"] == 8
    assert order(api, alice, 2).status_code == 202
    clock.step(2 * 3600 - 1)
    assert refusal(order(api, alice, 1)) == ("quota_pairs_per_day", 10, 1)
    clock.step(1)
    assert order(api, alice, 10).status_code == 202
    refusal(order(api, alice, 1))


def test_failed_orders_do_not_use_up_the_day(opened: Open, jobs: Jobs) -> None:
    api = opened(quota_pairs_per_day=10)
    alice = caller(parts(api), "alice")
    order(api, alice, 10)
    refusal(order(api, alice, 10))
    for _ in range(3):
        fail(jobs.db, jobs.claim(), "broken", "Broken.", jobs.clock)
    assert order(api, alice, 10).status_code == 202


@pytest.mark.parametrize("quota", ["quota_unfinished_pairs", "quota_pairs_per_day"])
@pytest.mark.parametrize("dry_run", [False, True])
def test_what_can_never_fit_is_not_told_to_wait(opened: Open, quota: str, dry_run: bool) -> None:
    api = opened(**{quota: 10})
    response = order(api, caller(parts(api), "alice"), 11, dry_run=dry_run)
    assert pointers(response) == ["#/count"]
    assert "10" in response.json()["detail"]


@pytest.mark.parametrize("quota", ["quota_unfinished_pairs", "quota_pairs_per_day"])
def test_orders_at_once_do_not_pass_a_quota_together(opened: Open, quota: str) -> None:
    api = opened(**{quota: 10})
    alice = caller(parts(api), "alice")
    answers = at_once([lambda: order(api, alice, 4).status_code] * 8)
    assert sorted(answers) == [202] * 2 + [429] * 6


def test_a_repeated_order_is_answered_though_the_quota_is_used_up(opened: Open) -> None:
    api = opened(quota_unfinished_pairs=4)
    alice = caller(parts(api), "alice") | {"Idempotency-Key": "b1c5"}
    answers = at_once([lambda: order(api, alice, 4)] * 8)
    assert [answer.status_code for answer in answers] == [202] * 8
    assert len({answer.json()["id"] for answer in answers}) == 1


def test_a_refused_order_does_not_spend_its_key(opened: Open) -> None:
    api = opened(quota_unfinished_pairs=4)
    alice = caller(parts(api), "alice")
    home = order(api, alice, 4).headers["location"]
    keyed = alice | {"Idempotency-Key": "b1c5"}
    refusal(order(api, keyed, 3))
    api.delete(home, headers=alice)
    assert order(api, keyed, 3).status_code == 202
