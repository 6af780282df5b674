"""Uploads over HTTP: sent, watched, looked at, deleted; and what comes broken, slow or too long."""

import io
import socket
from contextlib import ExitStack
from datetime import timedelta
from pathlib import Path
from urllib.parse import urlsplit

import httpx2
import numpy as np
import pytest
from fastapi.testclient import TestClient
from PIL import Image
from sqlalchemy import func, select

from app import streamed_body
from app.clock import utc_now
from app.deps import Services
from app.jobs.leases import claim_next, note_failure
from app.jobs.states import lock_job
from app.jobs.sweep import sweep
from app.jobs.tables import Item, Job
from app.main import create_app
from app.settings import Access, Settings
from app.uploads import routes
from tests.app.callers import Headers, caller
from tests.app.making import make_items
from tests.app.problems import parameters, problem
from tests.app.serving import serve
from tests.waiting import wait_until
from tests.zips import maps, pack, pairs, photograph, picture, vessels

ZIP = {"Content-Type": "application/zip"}
DAY = timedelta(days=1)


def send(api: TestClient, data: bytes, kind: str = "maps", headers: Headers | None = None) -> str:
    """Uploads a zip; the path of the upload."""
    response = api.post(f"/uploads?kind={kind}", content=data, headers=ZIP | (headers or {}))
    assert response.status_code == 202, response.text
    return response.headers["location"]


def rows(services: Services) -> int:
    with services.db.read() as session:
        return session.scalar(select(func.count()).select_from(Job)) or 0


def leftovers(services: Services) -> list[str]:
    """What is stored, and what is left of writes that have not ended."""
    unfinished = services.storage.discard_unfinished(utc_now() + DAY)
    return services.storage.list() + ["unfinished"] * unfinished


def test_an_upload_says_how_its_labels_are_read(api: TestClient) -> None:
    wanted = "unlabelled=true&vessel_values=1&vessel_values=%23ff0000&ignore_value=255"
    request = send(api, pack(pairs(1)), f"pairs&{wanted}")
    shown = api.get(request).json()["request"]
    assert shown["unlabelled"] is True
    assert (shown["vessel_values"], shown["ignore_value"]) == ([1, "#ff0000"], 255)
    response = api.post("/uploads?kind=pairs&vessel_values=red", content=b"", headers=ZIP)
    assert response.status_code == 422


def test_an_upload_from_zip_to_pictures(api: TestClient, services: Services) -> None:
    data = pack(pairs(2) | {"images/2.png": picture(photograph(2)), "notes.txt": b""})
    response = api.post("/uploads?kind=pairs", content=data, headers=ZIP)
    assert (response.status_code, response.headers["retry-after"]) == (202, "2")
    waiting = response.json()
    unset = dict.fromkeys(("sha256", "unlabelled", "vessel_values", "ignore_value"))
    assert waiting["request"] == {"kind": "pairs", "bytes": len(data), **unset}
    assert (waiting["status"], waiting["report"], waiting["receiving"]) == ("queued", None, False)
    assert waiting["expires_at"] is None
    home = response.headers["location"]
    assert api.get(home).json() == waiting
    problem(api.get(f"{home}/pictures/0/image"), 409)

    assert make_items(services) == 1
    answer = api.get(home)
    assert "retry-after" not in answer.headers
    upload = answer.json()
    assert (upload["status"], upload["count"], upload["error"]) == ("succeeded", 2, None)
    report = upload["report"]
    assert [each["label"] for each in report["used"]] == ["labels/0.png", "labels/1.png"]
    assert [(each["file"], each["code"]) for each in report["refused"]] == [
        ("images/2.png", "missing_partner")
    ]
    assert report["ignored"] == [{"file": "notes.txt", "reason": "not a picture"}]
    label = api.get(f"{home}/pictures/1/label")
    assert label.headers["content-type"] == "image/png"
    np.testing.assert_array_equal(
        np.asarray(Image.open(io.BytesIO(label.content))), 255 * vessels(1)
    )
    assert api.get(f"{home}/pictures/1/image").status_code == 200
    assert api.get(f"{home}/pictures/1/mask").status_code == 200
    problem(api.get(f"{home}/pictures/2/label"), 404)


def test_maps_have_no_photographs(api: TestClient, services: Services) -> None:
    home = send(api, pack(maps(1)))
    make_items(services)
    assert api.get(f"{home}/pictures/0/label").status_code == 200
    for which in ("image", "mask"):
        assert which in problem(api.get(f"{home}/pictures/0/{which}"), 404)["detail"]


def test_a_refused_upload_says_why(api: TestClient, services: Services) -> None:
    home = send(api, b"no zip")
    make_items(services)
    upload = api.get(home).json()
    assert (upload["status"], upload["error"]["code"]) == ("failed", "not_a_zip")
    assert upload["report"] == {"used": [], "unlabelled": [], "refused": [], "ignored": []}
    problem(api.get(f"{home}/pictures/0/label"), 409)


def test_a_check_that_kills_workers_is_given_up(api: TestClient, services: Services) -> None:
    home = send(api, pack(maps(1)))
    for _ in range(3):
        claim = claim_next(services.db, "a test")
        assert claim is not None
        with services.db.write() as session:
            job, item = lock_job(session, claim.job_id), session.get_one(Item, claim.item_id)
            note_failure(session, job, item, {"code": "worker_lost", "detail": "x"}, utc_now())
    upload = api.get(home).json()
    assert (upload["status"], upload["error"]["code"]) == ("failed", "worker_lost")
    assert upload["report"] is None


def test_uploads_are_checked_before_orders_are_made(api: TestClient, services: Services) -> None:
    assert api.post("/datasets", json={"count": 4}).status_code == 202
    send(api, pack(maps(1)))
    kinds = [claim.kind for _ in range(2) if (claim := claim_next(services.db, "a test"))]
    assert kinds == ["check", "shard"]


def test_uploads_and_data_sets_do_not_mix(api: TestClient, services: Services) -> None:
    upload = send(api, pack(maps(1))).removeprefix("/uploads/")
    dataset = api.post("/datasets", json={"count": 4}).json()["id"]
    (listed,) = api.get("/uploads").json()["data"]
    assert (listed["id"], "report" in listed) == (upload, False)
    (listed,) = api.get("/datasets").json()["data"]
    assert (listed["id"], listed["estimate"]["queue_position"]) == (dataset, 1)
    for path in ("", "/events", "/download", "/preview", "/pairs/0/label"):
        problem(api.get(f"/datasets/{upload}{path}"), 404)
    problem(api.post(f"/datasets/{upload}/cancel"), 404)
    problem(api.delete(f"/datasets/{upload}"), 404)
    problem(api.get(f"/uploads/{dataset}"), 404)
    problem(api.get(f"/uploads/{dataset}/pictures/0/label"), 404)
    problem(api.delete(f"/uploads/{dataset}"), 404)
    assert parameters(api.get("/datasets", params={"after": upload})) == ["after"]
    assert parameters(api.get("/uploads", params={"after": dataset})) == ["after"]


def test_pages_and_states(api: TestClient, services: Services) -> None:
    homes = [send(api, pack(maps(1))) for _ in range(3)]
    make_items(services, most=1)
    page = api.get("/uploads?limit=2").json()
    last = api.get("/uploads", params={"after": page["data"][-1]["id"]}).json()
    both = [each["links"]["self"] for each in page["data"] + last["data"]]
    assert both == homes[::-1]
    assert (page["has_more"], last["has_more"]) == (True, False)
    (done,) = api.get("/uploads?status=succeeded").json()["data"]
    assert done["links"]["self"] == homes[0]


@pytest.mark.parametrize("ready", [False, True])
def test_a_deleted_upload_leaves_nothing(api: TestClient, services: Services, ready: bool) -> None:
    home = send(api, pack(maps(1)))
    if ready:
        make_items(services)
    for _ in range(2):
        assert api.delete(home).status_code == 204
    problem(api.get(home), 404)
    problem(api.get(f"{home}/pictures/0/label"), 404)
    assert api.get("/uploads").json()["data"] == []
    assert make_items(services) == 0
    sweep(services.db, services.storage)
    assert leftovers(services) == []


def test_an_upload_deleted_while_it_is_checked(api: TestClient, services: Services) -> None:
    home = send(api, pack(maps(1)))
    claim = claim_next(services.db, "a test")
    assert claim is not None
    assert api.delete(home).status_code == 204
    with services.db.write() as session:
        job, item = lock_job(session, claim.job_id), session.get_one(Item, claim.item_id)
        note_failure(session, job, item, {"code": "worker_lost", "detail": "x"}, utc_now())
    sweep(services.db, services.storage)
    assert leftovers(services) == []
    with services.db.read() as session:
        assert session.get_one(Job, claim.job_id).status == "cancelled"


def test_an_upload_expires(settings: Settings) -> None:
    hours = settings.model_copy(update={"retention_hours": 1})
    with TestClient(create_app(hours), raise_server_exceptions=False) as api:
        services: Services = api.app.state.services  # type: ignore[attr-defined]
        home = send(api, pack(maps(1)))
        make_items(services)
        sweep(services.db, services.storage, lambda: utc_now() + DAY)
        assert api.get(home).json()["status"] == "expired"
        problem(api.get(f"{home}/pictures/0/label"), 410)
        assert leftovers(services) == []


def test_what_is_no_zip_is_not_taken(api: TestClient, services: Services) -> None:
    for headers in ({}, {"Content-Type": "application/json"}):
        detail = problem(api.post("/uploads?kind=maps", content=b"{}", headers=headers), 415)
        assert "application/zip" in detail["detail"]
    assert parameters(api.post("/uploads", content=b"", headers=ZIP)) == ["kind"]
    assert parameters(api.post("/uploads?kind=cats", content=b"", headers=ZIP)) == ["kind"]
    assert (rows(services), leftovers(services)) == (0, [])


@pytest.mark.parametrize("announced", [True, False])
def test_a_zip_that_is_too_long_is_not_taken(
    settings: Settings, announced: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(routes, "MOST_BYTES_AT_ONCE", 3 << 20)
    with TestClient(create_app(settings), raise_server_exceptions=False) as api:
        services: Services = api.app.state.services  # type: ignore[attr-defined]
        data = bytes((3 << 20) + 1)
        body = data if announced else iter([data[: 2 << 20], data[2 << 20 :]])
        document = problem(api.post("/uploads?kind=maps", content=body, headers=ZIP), 413)
        assert str(3 << 20) in document["detail"]
        assert (rows(services), leftovers(services)) == (0, [])
        send(api, data[:-1])  # and this is just short enough


def test_only_uploads_may_be_long(api: TestClient) -> None:
    body = b'{"count": 1, "model": "' + b"x" * (1 << 20) + b'"}'
    problem(api.post("/datasets", content=body, headers={"Content-Type": "application/json"}), 413)


def begin(address: str, length: int) -> socket.socket:
    """A connection on which the head of an upload of so many bytes has been sent."""
    host, port = urlsplit(address).hostname, urlsplit(address).port
    connection = socket.create_connection((host, port))
    connection.sendall(
        b"POST /uploads?kind=maps HTTP/1.1\r\nHost: x\r\nContent-Type: application/zip\r\n"
        b"Content-Length: %d\r\n\r\n" % length
    )
    return connection


def test_an_upload_that_breaks_off_leaves_nothing(settings: Settings, tmp_path: Path) -> None:
    app = create_app(settings)
    with serve(app) as address, begin(address, 64 << 20) as connection:
        connection.sendall(bytes(24 << 20))  # more than S3 takes in one part
    # The server ends only when it has ended what it was doing.
    services = app.state.services
    assert (rows(services), leftovers(services)) == (0, [])
    assert not list(tmp_path.glob("storage/jobs/*"))


def test_an_upload_that_does_not_go_on_is_given_up(
    settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(streamed_body, "LONGEST_SILENCE", 0.2)
    app = create_app(settings)
    with serve(app) as address, begin(address, 64 << 20) as connection:
        connection.sendall(bytes(1000))
        assert connection.recv(12) == b"HTTP/1.1 408"
    services = app.state.services
    assert (rows(services), leftovers(services)) == (0, [])


def test_an_upload_that_is_deleted_while_it_comes_leaves_nothing(settings: Settings) -> None:
    data = bytes(1 << 20)
    app = create_app(settings)
    with (
        serve(app) as address,
        begin(address, len(data)) as connection,
        httpx2.Client(base_url=address) as api,
    ):
        connection.sendall(data[:-1])
        wait_until(lambda: api.get("/uploads").json()["data"])
        (upload,) = api.get("/uploads").json()["data"]
        assert (upload["receiving"], upload["parts"]) == (True, None)
        assert api.delete(upload["links"]["self"]).status_code == 204
        services = app.state.services
        sweep(services.db, services.storage)
        connection.sendall(data[-1:])
        assert connection.recv(12) == b"HTTP/1.1 404"
        assert leftovers(services) == []


@pytest.mark.parametrize("parts", ["embedded"], indirect=True)
def test_slow_uploads_hold_up_nobody(settings: Settings) -> None:
    data = pack(maps(1))
    with (
        serve(create_app(settings)) as address,
        ExitStack() as slow,
        httpx2.Client(base_url=address, timeout=10) as api,
    ):
        # More than there are threads for requests.
        waiting = [slow.enter_context(begin(address, len(data))) for _ in range(60)]
        for connection in waiting:
            connection.sendall(data[:100])
        wait_until(lambda: len(api.get("/uploads?limit=100").json()["data"]) == len(waiting))
        page = api.get("/uploads").json()["data"]
        assert {(each["receiving"], each["request"]["bytes"]) for each in page} == {
            (True, len(data))
        }
        assert api.post("/datasets", json={"count": 1}).status_code == 202
        waiting[-1].sendall(data[100:])
        assert waiting[-1].recv(12) == b"HTTP/1.1 202"


def test_anothers_upload_is_as_if_it_were_not(settings: Settings) -> None:
    locked = settings.model_copy(update={"access": Access.REQUIRED})
    with TestClient(create_app(locked), raise_server_exceptions=False) as api:
        services: Services = api.app.state.services  # type: ignore[attr-defined]
        alice, bob = caller(services, "alice"), caller(services, "bob")
        home = send(api, pack(maps(1)), headers=alice)
        make_items(services)
        for method, path in (("GET", ""), ("GET", "/pictures/0/label"), ("DELETE", "")):
            problem(api.request(method, home + path, headers=bob), 404)
        assert api.get("/uploads", headers=bob).json()["data"] == []
        after = {"after": home.removeprefix("/uploads/")}
        assert parameters(api.get("/uploads", params=after, headers=bob)) == ["after"]
        assert api.get(f"{home}/pictures/0/label", headers=alice).status_code == 200
        problem(api.post("/uploads?kind=maps", content=b"", headers=ZIP), 401)


def test_uploads_are_limited_as_requests_but_take_no_pairs(settings: Settings) -> None:
    limits = {"requests_per_minute": 2, "quota_pairs_per_day": 3, "access": Access.REQUIRED}
    with TestClient(create_app(settings.model_copy(update=limits))) as api:
        services: Services = api.app.state.services  # type: ignore[attr-defined]
        alice = caller(services, "alice")
        send(api, pack(maps(3)), headers=alice)
        make_items(services)
        assert api.post("/datasets", json={"count": 3}, headers=alice).status_code == 202
        response = api.post("/uploads?kind=maps", content=b"", headers=ZIP | alice)
        assert problem(response, 429)["limit"] == "requests_per_minute"
