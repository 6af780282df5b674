"""Uploads by parts over HTTP: sent where the service says, gone on with, completed or given up."""

import os
import subprocess
import sys
from collections.abc import Iterable
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from hashlib import sha256

import httpx2
import pytest
from fastapi.testclient import TestClient

from app.clock import utc_now
from app.deps import Services, open_services
from app.jobs.sweep import sweep
from app.jobs.tables import Job
from app.main import create_app
from app.problems import EXPIRED, PARTS_MISSING
from app.settings import SOURCE_TREE, Access, Settings
from app.storage import MOST_PARTS
from app.uploads.parts import LARGEST_PART, part_size
from app.uploads.pictures import zip_key
from app.uploads.schemas import MOST_BYTES
from tests.app.callers import caller
from tests.app.making import make_items
from tests.app.problems import parameters, pointers, problem
from tests.app.test_uploads_api import begin, leftovers, rows
from tests.waiting import wait_until
from tests.zips import maps, pack

PART = 8 << 20  # bytes; of a short zip
DAY = timedelta(hours=25)  # after which an upload has expired

embedded = pytest.mark.parametrize("parts", ["embedded"], indirect=True)


def announce(api: httpx2.Client, length: int, key: str | None = None, **fields: str) -> str:
    """Begins an upload of maps; its path."""
    headers = {} if key is None else {"Idempotency-Key": key}
    order = {"kind": "maps", "bytes": length, **fields}
    response = api.post("/multipart-uploads", json=order, headers=headers)
    assert response.status_code == 201, response.text
    return response.headers["location"]


def send(api: httpx2.Client, home: str, data: bytes, numbers: Iterable[int]) -> None:
    """Sends these parts of the zip as any client would."""
    answer = api.post(f"{home}/parts", json={"numbers": list(numbers)})
    assert answer.status_code == 200, answer.text
    for part in answer.json()["data"]:
        start = (part["number"] - 1) * PART
        piece = data[start : start + part["bytes"]]
        put = api.put if part["url"].startswith("/") else httpx2.put
        assert put(part["url"], content=piece).is_success


def received(api: httpx2.Client, home: str) -> list[int]:
    page = api.get(f"{home}/parts").json()
    assert not page["has_more"]
    return [part["number"] for part in page["data"]]


def test_an_upload_is_gone_on_with_and_completed(api: TestClient, services: Services) -> None:
    data = pack(maps(2) | {"notes.txt": os.urandom(2 * PART)})
    home = announce(api, len(data), sha256=sha256(data).hexdigest())
    upload = api.get(home).json()
    assert (upload["status"], upload["receiving"]) == ("queued", True)
    assert upload["parts"] == {"size": PART, "count": 3, "received": 0}
    assert upload["expires_at"] > (utc_now() + timedelta(hours=23)).isoformat()
    send(api, home, data, [3, 1])
    assert received(api, home) == [1, 3]
    first = api.get(f"{home}/parts?limit=1").json()
    assert first == {"data": [{"number": 1, "bytes": PART}], "has_more": True}
    assert api.get(f"{home}/parts?after=1").json()["data"][0]["number"] == 3
    assert api.get(home).json()["parts"]["received"] == 2
    (listed,) = api.get("/uploads").json()["data"]
    assert listed["parts"] == {"size": PART, "count": 3}
    document = problem(api.post(f"{home}/complete"), 409)
    assert (document["type"], document["missing"]) == (PARTS_MISSING.uri, [2])
    assert make_items(services) == 0

    send(
        api, home, data, {1, 2, 3} - set(received(api, home))
    )  # another client, which knows the id
    completed = api.post(f"{home}/complete")
    assert (completed.status_code, completed.headers["retry-after"]) == (202, "2")
    upload = completed.json()
    assert (upload["receiving"], upload["parts"], upload["expires_at"]) == (False, None, None)
    problem(api.put(f"{home}/parts/1", content=data[:PART]), 409)
    problem(api.get(f"{home}/parts"), 409)
    assert make_items(services) == 1
    upload = api.post(f"{home}/complete").json()
    assert (upload["status"], upload["count"], upload["error"]) == ("succeeded", 2, None)


def test_completing_at_once_and_after_a_crash_has_one_effect(
    api: TestClient, services: Services
) -> None:
    data = pack(maps(1))
    homes = [announce(api, len(data)) for _ in range(2)]
    for home in homes:
        send(api, home, data, [1])
    with ThreadPoolExecutor(4) as threads:
        answers = list(threads.map(lambda _: api.post(f"{homes[0]}/complete"), range(4)))
    assert [answer.status_code for answer in answers] == [202] * 4
    # A process that was killed has joined the parts of the other, but not noted it.
    upload_id = homes[1].removeprefix("/uploads/")
    with services.db.read() as session:
        plan = session.get_one(Job, upload_id).parts
    assert plan is not None
    services.storage.join_parts(zip_key(upload_id), plan["upload"])
    assert api.get(home).json()["parts"]["received"] == 1
    assert api.post(f"{homes[1]}/complete").status_code == 202
    assert make_items(services) == 2
    assert [api.get(home).json()["status"] for home in homes] == ["succeeded"] * 2


@pytest.mark.parametrize("deleted", [True, False])
def test_an_upload_that_is_given_up_leaves_nothing(
    api: TestClient, services: Services, deleted: bool
) -> None:
    data = pack(maps(1))
    home = announce(api, len(data))
    send(api, home, data, [1])
    link = api.post(f"{home}/parts", json={"numbers": [1]}).json()["data"][0]["url"]
    if deleted:
        assert api.delete(home).status_code == 204
    sweep(services.db, services.storage, lambda: utc_now() + (timedelta(0) if deleted else DAY))
    status = 404 if deleted else 410
    if not deleted:
        upload = api.get(home).json()
        assert (upload["status"], upload["error"]["code"]) == ("expired", "upload_incomplete")
        assert (upload["receiving"], upload["parts"]) == (False, None)
        assert problem(api.post(f"{home}/complete"), 410)["type"] == EXPIRED.uri
    problem(api.get(f"{home}/parts"), status)
    problem(api.post(f"{home}/parts", json={"numbers": [1]}), status)
    problem(api.put(f"{home}/parts/1", content=data), status)
    problem(api.post(f"{home}/complete"), status)
    if not link.startswith("/"):
        assert httpx2.put(link, content=data).status_code == 404
    assert make_items(services) == 0
    assert leftovers(services) == []


def test_an_upload_in_time_is_not_given_up(api: TestClient, services: Services) -> None:
    data = pack(maps(1))
    home = announce(api, len(data))
    sweep(services.db, services.storage, lambda: utc_now() + timedelta(hours=23))
    send(api, home, data, [1])
    assert api.post(f"{home}/complete").status_code == 202
    sweep(services.db, services.storage, lambda: utc_now() + DAY)
    assert make_items(services) == 1
    assert api.get(home).json()["status"] == "succeeded"


def test_what_does_not_fit_is_not_taken(api: TestClient, services: Services) -> None:
    order = {"kind": "maps", "bytes": MOST_BYTES + 1}
    assert pointers(api.post("/multipart-uploads", json=order)) == ["#/bytes"]
    assert pointers(api.post("/multipart-uploads", json={"kind": "cats"})) == ["#/kind", "#/bytes"]
    assert (rows(services), leftovers(services)) == (0, [])
    home = announce(api, PART + 1)
    assert pointers(api.post(f"{home}/parts", json={"numbers": [1, 3]})) == ["#/numbers"]
    problem(api.put(f"{home}/parts/3", content=b"x"), 404)
    for data in (b"short", bytes(PART + 1)):
        detail = problem(api.put(f"{home}/parts/1", content=data), 422)["detail"]
        assert str(PART) in detail
    assert received(api, home) == []


@embedded
def test_another_zip_than_announced_is_refused(api: TestClient, services: Services) -> None:
    data = pack(maps(1))
    home = announce(api, len(data), sha256="0" * 64)
    send(api, home, data, [1])
    assert api.post(f"{home}/complete").status_code == 202
    make_items(services)
    upload = api.get(home).json()
    assert (upload["status"], upload["error"]["code"]) == ("failed", "digest_mismatch")


def test_an_upload_is_begun_once_with_one_key(api: TestClient, services: Services) -> None:
    with ThreadPoolExecutor(4) as threads:
        homes = set(threads.map(lambda _: announce(api, 1000, "b1c5"), range(4)))
    assert (len(homes), rows(services)) == (1, 1)
    other = {"kind": "maps", "bytes": 1001}
    response = api.post("/multipart-uploads", json=other, headers={"Idempotency-Key": "b1c5"})
    assert parameters(response) == ["Idempotency-Key"]
    assert api.delete(homes.pop()).status_code == 204
    sweep(services.db, services.storage)
    assert leftovers(services) == []


@embedded
def test_an_upload_that_comes_as_one_body_awaits_no_parts(
    api: TestClient, services: Services
) -> None:
    zipped = {"Content-Type": "application/zip"}
    home = api.post("/uploads?kind=maps", content=b"x", headers=zipped).headers["location"]
    assert "not begun by parts" in problem(api.get(f"{home}/parts"), 409)["detail"]


@embedded
def test_anothers_parts_are_as_if_they_were_not(settings: Settings) -> None:
    locked = settings.model_copy(update={"access": Access.REQUIRED})
    with TestClient(create_app(locked)) as api:
        services: Services = api.app.state.services  # type: ignore[attr-defined]
        alice, bob = caller(services, "alice"), caller(services, "bob")
        order = {"kind": "maps", "bytes": 1}
        home = api.post("/multipart-uploads", json=order, headers=alice).headers["location"]
        problem(api.get(f"{home}/parts", headers=bob), 404)
        problem(api.post(f"{home}/parts", json={"numbers": [1]}, headers=bob), 404)
        problem(api.put(f"{home}/parts/1", content=b"x", headers=bob), 404)
        problem(api.post(f"{home}/complete", headers=bob), 404)
        assert api.put(f"{home}/parts/1", content=b"x", headers=alice).status_code == 204


@pytest.mark.parametrize("parts", ["production"], indirect=True)
def test_a_killed_service_leaves_nothing_that_is_not_swept(settings: Settings) -> None:
    names = ("database_url", "storage_url", "s3_endpoint_url", "data_dir", "broker_url")
    environment = {f"FUNDUSMITH_{name.upper()}": str(getattr(settings, name)) for name in names}
    command = [sys.executable, "-m", "uvicorn", "--factory", "app.main:create_app", "--port", "0"]
    server = subprocess.Popen(
        command,
        env=os.environ | environment | {"PYTHONPATH": str(SOURCE_TREE)},
        stderr=subprocess.PIPE,
        text=True,
    )
    assert server.stderr is not None
    address = next(line for line in server.stderr if "running on" in line).split()[4]
    services = open_services(settings)
    try:
        with begin(address, 64 << 20) as connection:
            connection.sendall(bytes(24 << 20))  # more than S3 takes in one part
            wait_until(lambda: rows(services) == 1)
            server.kill()
            server.wait()
        sweep(services.db, services.storage)
        assert rows(services) == 1
        report = sweep(services.db, services.storage, lambda: utc_now() + DAY)
        assert (report.outlived, report.purged) == (1, 1)
        assert leftovers(services) == []
    finally:
        server.kill()
        services.db.close()


def test_the_page_may_send_parts_where_they_go(api: TestClient, settings: Settings) -> None:
    policy = api.get("/").headers["content-security-policy"]
    bucket = settings.s3_endpoint_url
    assert policy.partition("connect-src ")[2] == (f"'self' {bucket}" if bucket else "")


def test_every_zip_has_parts_that_s3_joins() -> None:
    assert [part_size(n) for n in (1, 8000 << 20, (8000 << 20) + 1)] == [PART, PART, 2 * PART]
    most = MOST_PARTS * LARGEST_PART
    assert most >= MOST_BYTES
    assert most / part_size(most) == MOST_PARTS
