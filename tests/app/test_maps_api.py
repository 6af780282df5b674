"""Ordering photographs of uploaded maps over HTTP, and what keeps an upload from going."""

import io
import zipfile
from datetime import timedelta

import pytest
from fastapi.testclient import TestClient
from sqlalchemy import update

from app.archive.layout import archive_key
from app.deps import Services
from app.jobs.leases import claim_next, complete
from app.jobs.sweep import sweep
from app.jobs.tables import Job
from tests.app.making import make, make_items
from tests.app.problems import pointers, problem
from tests.zips import maps, pack

ZIP = {"Content-Type": "application/zip"}


@pytest.fixture
def upload(api: TestClient, services: Services) -> str:
    """The id of an upload of three maps."""
    response = api.post("/uploads?kind=maps", content=pack(maps(3)), headers=ZIP)
    make_items(services, most=1)
    return response.json()["id"]


def test_maps_are_named_by_what_they_are(api: TestClient, services: Services, upload: str) -> None:
    job = api.post("/datasets", json={"count": 6, "maps": upload}).json()
    shown = job["request"]["maps"]
    assert (shown["upload"], shown["count"], len(shown["sha256"])) == (upload, 3, 64)
    make_items(services)
    stored = services.storage.read(archive_key(job["id"], None))
    with zipfile.ZipFile(io.BytesIO(stored)) as archive:
        assert upload.encode() not in archive.read("manifest.json")


@pytest.mark.parametrize(
    ("others", "pointer"),
    [
        ({"eye": "left"}, "#/eye"),
        ({"vessel_share": {"min": 0.1}}, "#/vessel_share"),
        ({"minimum_quality": {"contrast": 1}}, "#/minimum_quality"),
    ],
)
def test_what_only_drawn_maps_can_be_is_refused(
    api: TestClient, upload: str, others: dict[str, object], pointer: str
) -> None:
    response = api.post("/datasets", json={"count": 1, "maps": upload, **others})
    assert pointers(response) == [pointer]


def test_an_upload_that_has_no_maps_is_refused(api: TestClient, services: Services) -> None:
    waiting = api.post("/uploads?kind=maps", content=pack(maps(3)), headers=ZIP).json()["id"]
    bad = api.post("/uploads?kind=maps", content=pack({"a.txt": b"-"}), headers=ZIP).json()["id"]
    dataset = api.post("/datasets", json={"count": 1}).json()["id"]
    for named in (waiting, "up_never", dataset):
        assert pointers(api.post("/datasets", json={"count": 1, "maps": named})) == ["#/maps"]
    make_items(services)
    assert pointers(api.post("/datasets", json={"count": 1, "maps": bad})) == ["#/maps"]
    assert api.post("/datasets", json={"count": 1, "maps": waiting}).status_code == 202


def test_an_order_names_maps_to_keep_away_from(
    api: TestClient, services: Services, upload: str
) -> None:
    avoided = {"upload": upload, "overlap": 0.8}
    job = api.post("/datasets", json={"count": 2, "not_like": avoided}).json()
    shown = job["request"]["not_like"]
    assert (shown["upload"], shown["overlap"], shown["count"]) == (upload, 0.8, 3)
    problem(api.delete(f"/uploads/{upload}"), 409)
    make_items(services)
    assert api.get(job["links"]["self"]).json()["progress"]["rejected"] == {"likeness": 4}
    stored = services.storage.read(archive_key(job["id"], None))
    with zipfile.ZipFile(io.BytesIO(stored)) as archive:
        assert upload.encode() not in archive.read("manifest.json")
        assert "0 to 0.8; 4 turned away" in archive.read("README.md").decode()
    for fields, pointer in (
        ({"not_like": {"upload": "up_never"}}, "#/not_like/upload"),
        ({"not_like": avoided | {"overlap": 0.4}}, "#/not_like/overlap"),
        ({"not_like": avoided, "maps": upload}, "#/not_like"),
    ):
        assert pointers(api.post("/datasets", json={"count": 1, **fields})) == [pointer]
    with services.db.write() as session:
        session.execute(update(Job).where(Job.id == upload).values(count=101))
    response = api.post("/datasets", json={"count": 1, "not_like": avoided})
    assert "101 maps; 100 at most" in response.json()["detail"]


def test_an_upload_stays_while_an_order_needs_it(
    api: TestClient, services: Services, upload: str
) -> None:
    api.post("/datasets", json={"count": 4, "maps": upload})
    home = f"/uploads/{upload}"
    problem(api.delete(home), 409)
    with services.db.write() as session:
        past = services.clock() - timedelta(hours=1)
        session.execute(update(Job).where(Job.id == upload).values(expires_at=past))
    sweep(services.db, services.storage)
    assert api.get(home).json()["status"] == "succeeded"
    claim = claim_next(services.db, "one")
    assert claim is not None
    assert complete(services.db, claim, make(services, claim))
    problem(api.delete(home), 409)
    make_items(services)
    assert api.delete(home).status_code == 204
    assert pointers(api.post("/datasets", json={"count": 1, "maps": upload})) == ["#/maps"]
