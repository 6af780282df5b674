"""The registry over HTTP: listed, looked at, imported, exported, compared, chosen, deleted."""

import io
import shutil
import zipfile
from datetime import timedelta
from typing import Any

import httpx2
import pytest
from fastapi.testclient import TestClient

from app.access.tables import Scope
from app.clock import utc_now
from app.deps import Services
from app.main import create_app
from app.problems import INVALID_REQUEST
from app.registry import actions
from app.registry.stored import purge_models
from app.registry.tables import StoredModel
from app.settings import Access, Settings
from tests.app.callers import Headers, caller
from tests.app.making import make_items
from tests.app.packages import CARD, FILES, package_zip, whole_manifest, write_package
from tests.app.problems import conflict, parameters, problem
from tests.zips import pack

ZIP = {"Content-Type": "application/zip"}


def send(api: TestClient, headers: Headers | None = None, **changes: Any) -> dict[str, Any]:
    """Imports a package; the model."""
    response = api.post("/models", content=package_zip(**changes), headers=ZIP | (headers or {}))
    assert response.status_code == 201, response.text
    model = response.json()
    assert response.headers["location"] == model["links"]["self"] == f"/models/{model['id']}"
    return model


def fetch(api: TestClient, path: str) -> bytes:
    """What is exported: sent, or behind the link to the storage."""
    response = api.get(path, follow_redirects=False)
    if response.status_code == 307:
        return httpx2.get(response.headers["location"]).content
    assert response.status_code == 200, response.text
    return response.content


def ids(api: TestClient, headers: Headers | None = None) -> list[str]:
    return [model["id"] for model in api.get("/models", headers=headers).json()["data"]]


def test_the_models_that_can_be_ordered(api: TestClient, settings: Settings) -> None:
    write_package(settings.models_dir / "disc", name="disc")
    write_package(settings.models_dir / "chase", name="chase-256", version="1.2.0")
    models = api.get("/models").json()["data"]
    assert [(model["id"], model["default"]) for model in models] == [
        ("chase-256@1.2.0", True),
        ("disc@1.0.0", False),
        ("eye@1.0.0", False),
    ]


@pytest.mark.parametrize("reference", ["eye", "eye@1.0.0"])
def test_a_model(api: TestClient, reference: str) -> None:
    model = api.get(f"/models/{reference}").json()
    assert (model["id"], model["resolutions"], model["default"]) == ("eye@1.0.0", [64, 128], True)
    assert model["training_data"]["attribution"] == "By their owners"
    assert model["expected"]["seconds_per_pair"] == 0.25
    assert model["metrics"] == {"dice": 0.8}
    assert (len(model["digest"]), model["shipped"]) == (64, True)
    assert model["links"] == {
        "self": "/models/eye@1.0.0",
        "export": "/models/eye@1.0.0/export",
        "card": "/models/eye@1.0.0/card",
        "samples": None,
        "evaluations": "/evaluations?model=eye@1.0.0",
    }
    assert "networks" not in model


def test_a_card(api: TestClient) -> None:
    response = api.get("/models/eye@1.0.0/card")
    assert response.text == CARD
    assert response.headers["content-type"].startswith("text/markdown")


def test_a_sample_sheet(api: TestClient, settings: Settings) -> None:
    png = b"\x89PNG..."
    folder = settings.models_dir / "drawn"
    write_package(folder, name="drawn", files={"samples.png": {"sha256": "0" * 64, "bytes": 7}})
    (folder / "samples.png").write_bytes(png)
    link = api.get("/models/drawn").json()["links"]["samples"]
    response = api.get(link)
    assert (response.content, response.headers["content-type"]) == (png, "image/png")


@pytest.mark.parametrize(
    "path",
    ["nose", "eye@9.9.9", "eye@", "%00", "nose/card", "eye/samples", "eye/weights", "nose/export"],
)
def test_what_is_not_there(api: TestClient, path: str) -> None:
    problem(api.get(f"/models/{path}"), 404)


def test_an_imported_model_is_as_good_as_a_shipped_one(api: TestClient, services: Services) -> None:
    model = send(api, version="1.1.0", files=FILES | {"samples.png": b"\x89PNG..."})
    assert (model["id"], model["shipped"], model["default"]) == ("eye@1.1.0", False, True)
    assert api.get("/models/eye").json() == model
    assert api.get(model["links"]["card"]).text == CARD
    assert api.get(model["links"]["samples"]).content == b"\x89PNG..."
    job = api.post("/datasets", json={"count": 4}).json()
    assert (job["request"]["model"], job["package_digest"]) == (model["id"], model["digest"])
    assert job["estimate"]["seconds_left"] == 1.0  # as its package expects
    make_items(services)
    assert api.get(job["links"]["self"]).json()["status"] == "succeeded"


@pytest.mark.parametrize("shipped", [True, False])
def test_what_is_exported_can_be_imported_elsewhere(
    api: TestClient, settings: Settings, shipped: bool
) -> None:
    if shipped:
        folder = settings.models_dir / "whole"
        folder.mkdir()
        with zipfile.ZipFile(io.BytesIO(package_zip(name="whole"))) as archive:
            archive.extractall(folder)
    else:
        send(api, name="whole")
    model = api.get("/models/whole").json()
    data = fetch(api, model["links"]["export"])
    assert data == fetch(api, model["links"]["export"])
    head = api.head(model["links"]["export"])
    assert (head.headers["etag"], head.headers["content-length"]) == (
        f'"{model["digest"]}"',
        str(len(data)),
    )
    with zipfile.ZipFile(io.BytesIO(data)) as archive:
        assert {name: archive.read(name) for name in FILES} == FILES
    elsewhere = settings.model_copy(
        update={
            "models_dir": settings.data_dir / "none",
            "database_url": f"sqlite:///{settings.data_dir / 'other.sqlite3'}",
            "storage_url": (settings.data_dir / "other").as_uri(),
        }
    )
    settings.data_dir.mkdir(exist_ok=True)
    with TestClient(create_app(elsewhere)) as other:
        response = other.post("/models", content=data, headers=ZIP)
        assert (response.status_code, response.json()["digest"]) == (201, model["digest"])


def test_a_bad_package_is_refused_with_file_and_field(api: TestClient, services: Services) -> None:
    document = problem(
        api.post("/models", content=package_zip(resolutions=[0]), headers=ZIP), status=422
    )
    assert document["type"] == INVALID_REQUEST.uri
    assert (document["code"], document["file"]) == ("wrong_field", "package.json")
    assert document["field"] == "resolutions.0"
    assert document["detail"].startswith("package.json: resolutions.0: ")
    assert document["errors"] == [{"detail": document["detail"]}]
    problem(api.post("/models", content=b"", headers=ZIP), 422)
    problem(api.post("/models", content=b"{}"), 415)
    assert (services.storage.list(), ids(api)) == ([], ["eye@1.0.0"])


def test_a_version_is_never_used_again(api: TestClient) -> None:
    model = send(api, version="1.1.0")
    assert send(api, version="1.1.0") == model
    another = package_zip(version="1.1.0", title="Another")
    for status in (204, 204):
        conflict(api.post("/models", content=another, headers=ZIP), "eye@1.1.0")
        assert api.delete(model["links"]["self"]).status_code == status
    problem(api.post("/models", content=package_zip(version="1.1.0"), headers=ZIP), 409)
    problem(api.post("/models", content=package_zip(version="1.0.0"), headers=ZIP), 409)


@pytest.mark.parametrize("announced", [True, False])
def test_a_package_that_is_too_long_is_not_taken(
    settings: Settings, announced: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(actions, "LARGEST_PACKAGE", 100_000)
    with TestClient(create_app(settings), raise_server_exceptions=False) as api:
        data = bytes(100_001)
        body = data if announced else iter([data[:1000], data[1000:]])
        assert "100000" in problem(api.post("/models", content=body, headers=ZIP), 413)["detail"]
        send(api, version="1.1.0")


def test_a_model_in_use_is_kept_until_nothing_needs_it(api: TestClient, services: Services) -> None:
    home = send(api, version="1.1.0")["links"]["self"]
    order = api.post("/datasets", json={"count": 4, "model": "eye@1.1.0"}).json()["links"]["self"]
    conflict(api.delete(home), "has not ended")
    make_items(services)
    assert api.delete(home).status_code == 204
    problem(api.get(home), 404)
    assert ids(api) == ["eye@1.0.0"]
    assert api.get(order).json()["status"] == "succeeded"
    later = utc_now() + timedelta(hours=1)
    assert purge_models(services.db, services.storage) == 0
    assert purge_models(services.db, services.storage, lambda: later) == 1
    assert purge_models(services.db, services.storage, lambda: later) == 0
    assert not [key for key in services.storage.list() if key.startswith("models/")]


def test_an_order_that_came_late_keeps_a_deleted_models_bytes(
    api: TestClient, services: Services
) -> None:
    send(api, version="1.1.0")
    order = api.post("/datasets", json={"count": 4}).json()["links"]["self"]
    later = utc_now() + timedelta(hours=1)
    with services.db.write() as session:
        session.get_one(StoredModel, ("eye", "1.1.0")).deleted_at = utc_now()
    assert purge_models(services.db, services.storage, lambda: later) == 0
    assert api.get(order).json()["estimate"]["seconds_left"] is not None
    make_items(services)
    assert purge_models(services.db, services.storage, lambda: later) == 1


@pytest.mark.parametrize("parts", ["embedded"], indirect=True)
def test_what_was_shipped_before_can_still_be_ordered(settings: Settings) -> None:
    folder = settings.models_dir / "eye"

    def ship(**manifest: Any) -> None:
        shutil.rmtree(folder)
        write_package(folder, **manifest)
        for name, data in FILES.items():
            (folder / name).write_bytes(data)

    ship(**whole_manifest())
    settings = settings.model_copy(update={"access": Access.REQUIRED})
    with TestClient(create_app(settings)) as api:
        services = api.app.state.services  # type: ignore[attr-defined]
        alice, bob = (caller(services, name) for name in ("alice", "bob"))
        digest = api.get("/models/eye@1.0.0", headers=alice).json()["digest"]
        order = {"count": 4, "model": "eye@1.0.0"}
        assert api.post("/datasets", json=order, headers=alice).status_code == 202
        assert ids(api, alice) == ["eye@1.0.0"]
        ship(version="1.1.0")
        assert ids(api, bob) == ["eye@1.1.0", "eye@1.0.0"]
        kept = api.get("/models/eye@1.0.0", headers=bob).json()
        assert (kept["shipped"], kept["digest"]) == (True, digest)
        assert api.get("/models/eye@1.0.0/card", headers=bob).text == CARD
        assert api.post("/datasets", json=order, headers=bob).status_code == 202
        assert send(api, bob)["shipped"]
        problem(api.delete("/models/eye@1.0.0", headers=bob), 409)
        order["model"] = "eye"
        assert api.post("/datasets", json=order, headers=bob).status_code == 202
        ship(**whole_manifest())  # a step back
        assert ids(api, alice) == ["eye@1.0.0"]


def test_what_cannot_be_deleted(api: TestClient) -> None:
    conflict(api.delete("/models/eye@1.0.0"), "came with the service")
    assert parameters(api.delete("/models/eye")) == ["model"]
    problem(api.delete("/models/eye@9.9.9"), 404)


def test_the_default_of_ones_own(settings: Settings) -> None:
    write_package(settings.models_dir / "disc", name="disc")
    changes = {"access": Access.REQUIRED, "default_model": "disc"}
    with TestClient(create_app(settings.model_copy(update=changes))) as api:
        services: Services = api.app.state.services  # type: ignore[attr-defined]
        alice, bob = caller(services, "alice"), caller(services, "bob")

        def default(headers: Headers) -> str:
            order = api.post("/datasets?dry_run=true", json={"count": 1}, headers=headers).json()
            listed = api.get("/models", headers=headers).json()["data"]
            (model,) = [each["id"] for each in listed if each["default"]]
            assert model == order["request"]["model"]
            return model

        assert (default(alice), default(bob)) == ("disc@1.0.0", "disc@1.0.0")
        mine = send(api, alice, name="mine")
        for reference in ("eye", "mine"):
            response = api.put(f"/models/{reference}/default", headers=alice)
            assert response.json()["default"] is True
            assert (default(alice), default(bob)) == (f"{reference}@1.0.0", "disc@1.0.0")
        send(api, alice, name="mine", version="1.0.1")
        assert default(alice) == "mine@1.0.0"  # a version, not a name
        problem(api.put("/models/mine/default", headers=bob), 404)
        assert api.delete(mine["links"]["self"], headers=alice).status_code == 204
        assert default(alice) == "disc@1.0.0"


def test_anothers_model_is_as_if_it_were_not(settings: Settings) -> None:
    locked = settings.model_copy(update={"access": Access.REQUIRED})
    with TestClient(create_app(locked), raise_server_exceptions=False) as api:
        services: Services = api.app.state.services  # type: ignore[attr-defined]
        alice, bob = caller(services, "alice"), caller(services, "bob")
        root = caller(services, "root", Scope.ADMIN)
        home = send(api, alice, version="1.1.0")["links"]["self"]
        for method, path in (
            ("GET", ""),
            ("GET", "/card"),
            ("GET", "/export"),
            ("GET", "/compare?with=eye"),
            ("PUT", "/default"),
            ("DELETE", ""),
        ):
            problem(api.request(method, home + path, headers=bob), 404)
        assert ids(api, bob) == ["eye@1.0.0"]
        assert ids(api, alice) == ids(api, root) == ["eye@1.1.0", "eye@1.0.0"]
        order = {"count": 1, "model": "eye@1.1.0"}
        problem(api.post("/datasets", json=order, headers=bob), 422)
        assert api.post("/datasets", json=order, headers=alice).status_code == 202


def test_models_side_by_side(api: TestClient) -> None:
    send(api, version="1.1.0", metrics={"dice": 0.9, "maps": {"share": {"mean": 0.1}}})
    shown = api.get("/models/eye@1.0.0/compare?with=eye,eye@1.0.0").json()
    assert [model["id"] for model in shown["models"]] == ["eye@1.0.0", "eye@1.1.0", "eye@1.0.0"]
    assert shown["metrics"] == [
        {"name": "dice", "values": [0.8, 0.9, 0.8]},
        {"name": "maps.share.mean", "values": [None, 0.1, None]},
    ]
    assert parameters(api.get("/models/eye/compare")) == ["with"]
    assert parameters(api.get("/models/eye/compare?with=nose")) == ["with"]


def test_imports_are_limited_as_requests(settings: Settings) -> None:
    limits = {"requests_per_minute": 1, "access": Access.REQUIRED}
    with TestClient(create_app(settings.model_copy(update=limits))) as api:
        services: Services = api.app.state.services  # type: ignore[attr-defined]
        alice = caller(services, "alice")
        problem(api.post("/models", content=pack({}), headers=ZIP | alice), 422)
        response = api.post("/models", content=pack({}), headers=ZIP | alice)
        assert problem(response, 429)["limit"] == "requests_per_minute"
