"""Whose data sets are whose."""

from collections.abc import Iterator

import pytest
from fastapi.testclient import TestClient
from sqlalchemy.exc import IntegrityError

from app.access.tables import Scope
from app.database import Database
from app.deps import Services
from app.jobs.orders import create_job
from app.jobs.terms import Idempotency
from app.main import create_app
from app.settings import Access, Settings
from tests.app.callers import Headers, caller
from tests.app.making import make_items
from tests.app.problems import parameters, problem

PATHS = (
    ("GET", ""),
    ("GET", "/download"),
    ("GET", "/pairs/0/image"),
    ("GET", "/preview"),
    ("POST", "/cancel"),
    ("DELETE", ""),
)


@pytest.fixture
def api(settings: Settings) -> Iterator[TestClient]:
    """An API that asks for keys."""
    locked = settings.model_copy(update={"access": Access.REQUIRED})
    with TestClient(create_app(locked), raise_server_exceptions=False) as client:
        yield client


@pytest.fixture
def alice(services: Services) -> Headers:
    return caller(services, "alice")


@pytest.fixture
def bob(services: Services) -> Headers:
    return caller(services, "bob")


def order(api: TestClient, headers: Headers, count: int = 4, key: str | None = None) -> str:
    """Orders a data set and returns its path."""
    if key is not None:
        headers = headers | {"Idempotency-Key": key}
    response = api.post("/datasets", json={"count": count, "resolution": 64}, headers=headers)
    assert response.status_code == 202, response.text
    return response.headers["location"]


def listed(api: TestClient, headers: Headers) -> list[str]:
    return [job["links"]["self"] for job in api.get("/datasets", headers=headers).json()["data"]]


def test_anothers_data_set_is_as_if_it_were_not(
    api: TestClient, services: Services, alice: Headers, bob: Headers
) -> None:
    running, done = order(api, alice), order(api, alice)
    make_items(services, most=1)  # the first one's only shard
    for home in (running, done):
        never = "/datasets/ds_never"
        for method, path in PATHS:
            document = problem(api.request(method, home + path, headers=bob), 404)
            other = problem(api.request(method, never + path, headers=bob), 404)
            same = {name: str(text).replace(never[10:], home[10:]) for name, text in other.items()}
            assert same == {name: str(text) for name, text in document.items()}
        assert api.head(f"{home}/download", headers=bob).status_code == 404
    make_items(services)
    for home in (running, done):
        assert api.get(home, headers=alice).json()["status"] == "succeeded"
        assert api.get(f"{home}/preview", headers=alice).status_code == 200
        assert api.head(f"{home}/download", headers=alice).status_code == 200


def test_a_list_has_the_own_ones(api: TestClient, alice: Headers, bob: Headers) -> None:
    hers, his = [order(api, alice), order(api, alice)], order(api, bob)
    assert sorted(listed(api, alice)) == sorted(hers)
    assert listed(api, bob) == [his]


def test_pages_do_not_tell_of_others(api: TestClient, alice: Headers, bob: Headers) -> None:
    hers = [order(api, alice) for _ in range(3)]
    his = order(api, bob).removeprefix("/datasets/")
    page = api.get("/datasets", params={"limit": 2}, headers=alice).json()
    rest = {"after": page["data"][-1]["id"]}
    last = api.get("/datasets", params=rest, headers=alice).json()
    both = [job["links"]["self"] for job in page["data"] + last["data"]]
    assert sorted(both) == sorted(hers)
    assert (page["has_more"], last["has_more"]) == (True, False)
    assert parameters(api.get("/datasets", params={"after": his}, headers=alice)) == ["after"]


def test_all_keys_of_an_owner_see_the_same(
    api: TestClient, services: Services, alice: Headers
) -> None:
    home = order(api, alice)
    other = caller(services, "alice")
    assert api.get(home, headers=other).status_code == 200
    assert api.delete(home, headers=other).status_code == 204
    problem(api.get(home, headers=alice), 404)
    assert api.delete(home, headers=alice).status_code == 204  # as before: repeating is no error


def test_admin_sees_and_ends_everyones(
    api: TestClient, services: Services, alice: Headers, bob: Headers
) -> None:
    homes = [order(api, alice), order(api, bob)]
    admin = caller(services, "root", Scope.ADMIN)
    assert sorted(listed(api, admin)) == sorted(homes)
    assert api.post(f"{homes[0]}/cancel", headers=admin).json()["status"] == "cancelled"
    assert api.delete(homes[1], headers=admin).status_code == 204
    assert listed(api, bob) == []


def test_what_was_ordered_without_keys_is_admins(
    api: TestClient, services: Services, settings: Settings, alice: Headers
) -> None:
    hers = order(api, alice)
    with TestClient(create_app(settings)) as unlocked:
        nobodys = order(unlocked, {})
        assert sorted(listed(unlocked, {})) == sorted([hers, nobodys])
    problem(api.get(nobodys, headers=alice), 404)
    assert api.get(nobodys, headers=caller(services, "root", Scope.ADMIN)).status_code == 200


def test_idempotency_keys_are_each_owners_own(
    api: TestClient, services: Services, alice: Headers, bob: Headers
) -> None:
    first = order(api, alice, 4, key="b1c5")
    assert order(api, bob, 5, key="b1c5") != first
    assert order(api, caller(services, "alice"), 4, key="b1c5") == first
    problem(
        api.post("/datasets", json={"count": 5}, headers=alice | {"Idempotency-Key": "b1c5"}), 422
    )


def place(db: Database, owner: str, key: str) -> str:
    return create_job(
        db,
        request={"count": 1, "resolution": 64, "model": "eye@1.0.0", "seed": 7},
        package_digest="d" * 64,
        shard_pairs=4,
        owner=owner,
        idempotency=Idempotency(key, "e" * 64),
    )


@pytest.mark.parametrize("owner", ["alice", ""])
def test_the_database_refuses_a_second_order_with_a_key(db: Database, owner: str) -> None:
    place(db, owner, "b1c5")
    with pytest.raises(IntegrityError):
        place(db, owner, "b1c5")
    place(db, "bob", "b1c5")
    place(db, owner, "other")
