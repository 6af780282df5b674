"""API keys over HTTP: who is let in, where, and for what."""

from collections.abc import Callable, Iterator
from typing import Any

import pytest
from fastapi.testclient import TestClient
from sqlalchemy import func, select

from app.access.service import create_key, list_keys, revoke_key
from app.access.tables import Scope
from app.deps import Services
from app.jobs.tables import Job
from app.main import create_app
from app.problems import INSUFFICIENT_SCOPE, UNAUTHENTICATED
from app.settings import Access, Settings
from tests.app.callers import bearer, caller
from tests.app.problems import problem

OPEN = ("/healthz", "/readyz", "/problems")
OF_ADMINS = ("/metrics",)
EXAMPLES = {
    "dataset_id": "ds_x",
    "index": 0,
    "picture": "image",
    "upload_id": "up_x",
    "run_id": "tr_x",
    "evaluation_id": "ev_x",
    "model": "nose@1.0.0",
    "number": 0,
}


@pytest.fixture
def api(settings: Settings) -> Iterator[TestClient]:
    """An API that asks for keys."""
    locked = settings.model_copy(update={"access": Access.REQUIRED})
    with TestClient(create_app(locked), raise_server_exceptions=False) as client:
        yield client


def operations(api: TestClient) -> list[tuple[str, str]]:
    """Method and path, filled in, of every operation that is not open to everyone."""
    return [
        (method, path.format_map(EXAMPLES))
        for path, methods in api.get("/openapi.json").json()["paths"].items()
        for method in methods
        if not path.startswith(OPEN)
    ]


def jobs(services: Services) -> int:
    with services.db.read() as session:
        return session.scalar(select(func.count()).select_from(Job)) or 0


def refused(api: TestClient, headers: dict[str, str]) -> str:
    """The challenge of a 401."""
    response = api.get("/datasets", headers=headers)
    assert problem(response, 401)["type"] == UNAUTHENTICATED.uri
    return response.headers["www-authenticate"]


def test_without_a_key_everything_of_a_user_is_closed(api: TestClient, services: Services) -> None:
    closed = operations(api)
    assert {("post", "/datasets"), ("get", "/datasets/ds_x/download"), ("get", "/usage")} <= set(
        closed
    )
    for method, path in [*closed, ("head", "/datasets/ds_x/download")]:
        response = api.request(method, path, json={"count": 1} if method == "post" else None)
        assert response.status_code == 401, f"{method} {path}"
        assert response.headers["www-authenticate"] == 'Bearer realm="fundusmith"'
    assert jobs(services) == 0


def test_what_tells_nothing_of_users_stays_open(api: TestClient) -> None:
    for path in ("/healthz", "/docs", "/openapi.json"):
        assert api.get(path).status_code == 200, path
    assert api.get(UNAUTHENTICATED.uri).status_code == 200
    assert api.get("/readyz").status_code == 503  # there is no broker


def test_a_key_lets_in(api: TestClient, services: Services) -> None:
    headers = caller(services, "alice")
    job = api.post("/datasets", json={"count": 4}, headers=headers).json()
    assert api.get(job["links"]["self"], headers=headers).json()["id"] == job["id"]


@pytest.mark.parametrize(
    "token", ["x", "fs_", "fs_x_y", f"fs_{'0' * 16}_{'A' * 43}", "fs_\x00_y", "fs_ü"]
)
def test_what_is_no_key_of_ours_does_not(api: TestClient, services: Services, token: str) -> None:
    caller(services, "alice")
    challenge = refused(api, {"Authorization": f"Bearer {token}".encode("latin-1")})  # type: ignore[dict-item]
    assert challenge == 'Bearer realm="fundusmith", error="invalid_token"'


@pytest.mark.parametrize("change", [str.upper, lambda key: key[:-1] + "!", lambda key: key + "A"])
def test_nearly_a_key_does_not(
    api: TestClient, services: Services, change: Callable[[str], str]
) -> None:
    key = create_key(services.db, "a test", "alice", [Scope.READ])
    refused(api, bearer(change(key)))


def test_the_public_part_of_a_key_is_not_enough(api: TestClient, services: Services) -> None:
    mine, other = (create_key(services.db, "a test", "alice", [Scope.READ]) for _ in range(2))
    mixed = "_".join(mine.split("_", 2)[:2] + other.split("_", 2)[2:])
    refused(api, bearer(mixed))
    assert api.get("/datasets", headers=bearer(mine)).status_code == 200


@pytest.mark.parametrize("header", ["Basic {}", "{}", "Bearer", ""])
def test_another_scheme_is_no_key(api: TestClient, services: Services, header: str) -> None:
    key = create_key(services.db, "a test", "alice", [Scope.READ])
    assert "error" not in refused(api, {"Authorization": header.format(key)})


def test_a_revoked_key_is_refused_from_then_on(api: TestClient, services: Services) -> None:
    mine, other = caller(services, "alice"), caller(services, "alice")
    assert api.get("/datasets", headers=mine).status_code == 200
    (row, _) = list_keys(services.db)
    first = mine if row.id in mine["Authorization"] else other
    second = other if first is mine else mine
    assert revoke_key(services.db, row.id)
    refused(api, first)
    assert api.get("/datasets", headers=second).status_code == 200


@pytest.mark.parametrize(
    ("scope", "may", "may_not", "missing"),
    [
        (Scope.READ, "GET", "POST", "datasets:write"),
        (Scope.WRITE, "POST", "GET", "datasets:read"),
    ],
)
def test_a_missing_scope_is_named(
    api: TestClient, services: Services, scope: Scope, may: str, may_not: str, missing: str
) -> None:
    headers = caller(services, "alice", scope)
    bodies: dict[str, Any] = {"GET": None, "POST": {"count": 1}}
    assert api.request(may, "/datasets", json=bodies[may], headers=headers).is_success
    before = jobs(services)
    response = api.request(may_not, "/datasets", json=bodies[may_not], headers=headers)
    document = problem(response, 403)
    assert document["type"] == INSUFFICIENT_SCOPE.uri
    assert document["scope"] == missing
    assert missing in document["detail"]
    assert f'error="insufficient_scope", scope="{missing}"' in response.headers["www-authenticate"]
    assert jobs(services) == before


def test_every_operation_has_its_scope(api: TestClient, services: Services) -> None:
    reader, writer = caller(services, "a", Scope.READ), caller(services, "b", Scope.WRITE)
    for method, path in [*operations(api), ("head", "/datasets/ds_x/download")]:
        reads = method in ("get", "head")
        body = None if reads else {"count": 1}
        by_reader, by_writer = (
            api.request(method, path, json=body, headers=headers).status_code
            for headers in (reader, writer)
        )
        refusals = (True, True) if path in OF_ADMINS else (not reads, reads)
        assert (by_reader == 403, by_writer == 403) == refusals, f"{method} {path}"


def test_a_reader_can_change_nothing(api: TestClient, services: Services) -> None:
    owner, reader = caller(services, "alice"), caller(services, "alice", Scope.READ)
    home = api.post("/datasets", json={"count": 1}, headers=owner).headers["location"]
    assert api.get(home, headers=reader).status_code == 200
    problem(api.post(f"{home}/cancel", headers=reader), 403)
    problem(api.delete(home, headers=reader), 403)
    assert api.get(home, headers=owner).json()["status"] == "queued"


def test_admin_may_do_everything(api: TestClient, services: Services) -> None:
    admin = caller(services, "root", Scope.ADMIN)
    home = api.post("/datasets", json={"count": 1}, headers=admin).headers["location"]
    assert api.get(home, headers=admin).status_code == 200
    assert api.get("/usage", headers=admin).status_code == 200
    assert api.delete(home, headers=admin).status_code == 204
    assert api.get("/metrics", headers=admin).status_code == 200


@pytest.mark.parametrize(
    ("access", "address", "status"),
    [
        (None, "127.0.0.1", 200),
        (None, "[::1]", 200),
        (None, "192.0.2.7", 401),
        (None, "[2001:db8::7]", 401),
        (Access.OFF, "192.0.2.7", 401),
        (Access.REQUIRED, "127.0.0.1", 401),
        (Access.OPEN_TO_ANYONE, "192.0.2.7", 200),
    ],
)
def test_the_address_that_was_reached_counts_too(
    settings: Settings, access: Access | None, address: str, status: int
) -> None:
    """Someone may start the API by hand on an address that the settings know nothing of."""
    app = create_app(settings.model_copy(update={"access": access}))
    with TestClient(app, base_url=f"http://{address}") as api:
        assert api.get("/datasets").status_code == status
