"""Training runs over HTTP: ordering, watching, cancelling, resuming, deleting."""

import io
import zipfile
from datetime import timedelta
from typing import Any

import pytest
from fastapi.testclient import TestClient

from app.access.tables import Scope
from app.clock import utc_now
from app.deps import Services
from app.jobs.leases import Claim, claim_next, complete, renew
from app.jobs.sweep import sweep
from app.jobs.tables import Role
from app.main import create_app
from app.problems import EXPIRED, INVALID_REQUEST, NOT_READY
from app.settings import Access, Settings
from tests.app.callers import Headers, caller
from tests.app.making import make_items, make_slice
from tests.app.packages import write_package
from tests.app.problems import conflict, parameters, problem
from tests.zips import maps, pack, pairs

embedded = pytest.mark.parametrize("parts", ["embedded"], indirect=True)


def send(api: TestClient, data: bytes, kind: str = "pairs", headers: Headers | None = None) -> str:
    headers = {"Content-Type": "application/zip"} | (headers or {})
    response = api.post(f"/uploads?kind={kind}", content=data, headers=headers)
    assert response.status_code == 202, response.text
    return response.json()["id"]


@pytest.fixture
def upload(api: TestClient, services: Services) -> str:
    upload_id = send(api, pack(pairs(4)))
    make_items(services)
    return upload_id


def body(upload: str, **changes: Any) -> dict[str, Any]:
    return {"upload": upload, "name": "mine", "budget": {"images": 300}, **changes}


def order(api: TestClient, upload: str, headers: Headers | None = None, **changes: Any) -> str:
    """Orders a run; returns its path."""
    response = api.post("/training-runs", json=body(upload, **changes), headers=headers)
    assert response.status_code == 202, response.text
    return response.headers["location"]


def claim(services: Services) -> Claim:
    found = claim_next(services.db, "a test", Role.TRAIN.kinds)
    assert found is not None
    return found


def train(services: Services, **changes: Any) -> None:
    """Does one slice."""
    slice_ = claim(services)
    assert complete(services.db, slice_, make_slice(services, slice_, **changes))


def test_an_order_is_answered_with_the_run(api: TestClient, upload: str) -> None:
    settings = {"vessel": {"batch": 16, "spread": 4}, "photo": {"width": 0.5}}
    order_ = body(upload, **{"from": "eye", "seed": 5, "settings": settings, "resolution": 64.0})
    response = api.post("/training-runs", json=order_)
    run = response.json()
    assert (response.status_code, response.headers["retry-after"]) == (202, "1")
    assert response.headers["location"] == f"/training-runs/{run['id']}" == run["links"]["self"]
    assert (run["kind"], run["status"], run["pairs"]) == ("training", "queued", 4)
    assert run["request"] == {
        "upload": upload,
        "name": "mine",
        "stages": "both",
        "resolution": 64,
        "budget": {"minutes": None, "images": 300},
        "from": "eye@1.0.0",
        "seed": 5,
        "settings": settings,
        "data": {
            "name": "own data",
            "licence": "not stated",
            "attribution": "not stated",
            "url": "",
        },
    }
    assert run["estimate"] == {"seconds_left": None, "queue_position": 1}
    assert api.get(run["links"]["self"]).json() == run
    assert [each["id"] for each in api.get("/training-runs").json()["data"]] == [run["id"]]


@embedded
@pytest.mark.parametrize(
    ("changes", "pointer", "words"),
    [
        ({"upload": "up_never"}, "/upload", "There is no upload 'up_never'."),
        ({"name": "Mine!"}, "/name", "pattern"),
        ({"resolution": 96}, "/resolution", "64, 128, 256, 512 or 1024"),
        ({"resolution": 64.5}, "/resolution", "64, 128, 256, 512 or 1024"),
        ({"budget": {}}, "/budget", "give either minutes or images"),
        ({"budget": {"minutes": 1, "images": 1}}, "/budget", "give either minutes or images"),
        ({"budget": {"minutes": 0}}, "/budget/minutes", "greater than 0"),
        ({"budget": {"images": 1.5}}, "/budget/images", "integer"),
        ({"budget": {"hours": 1}}, "/budget/hours", "There is no such field."),
        ({"stages": "photo"}, "/from", "Name a model to take the stage vessel from."),
        ({"stages": "vessel"}, "/from", "Name a model to take the stage photo from."),
        ({"settings": {"vessel": {"refining": 1}}}, "/from", "Name a model whose vessel maps"),
        ({"from": "never"}, "/from", "There is no model 'never'"),
        ({"stages": "photo", "from": "eye"}, "/from", "have 64, 128 px, not 256"),
        ({"from": "second"}, "/from", "cannot start from second@1.0.0, whose labels are its maps"),
        ({"settings": {"vessel": {"pace": 1}}}, "/settings/vessel/pace", "no such field"),
        ({"settings": {"vessel": {"batch": 2}}}, "/settings/vessel/batch", "equal to 4"),
        ({"settings": {"photo": {"width": 9}}}, "/settings/photo/width", "equal to 8"),
        ({"settings": {"photo": {"batch": "2"}}}, "/settings/photo/batch", "integer"),
        (
            {"settings": {"vessel": {"augmentation_least": 0.9}}},
            "/settings/vessel",
            "must not be above augmentation_most, 0.85",
        ),
        ({"data": {"license": "CC0"}}, "/data/license", "There is no such field."),
        ({"count": 1}, "/count", "There is no such field."),
    ],
)
def test_what_is_wrong_with_an_order_is_named(
    api: TestClient,
    settings: Settings,
    upload: str,
    changes: dict[str, Any],
    pointer: str,
    words: str,
) -> None:
    write_package(settings.models_dir / "second", name="second", format="fundusmith-model/2")
    document = problem(api.post("/training-runs", json={**body(upload), **changes}), 422)
    assert document["type"] == INVALID_REQUEST.uri
    assert pointer in [error["pointer"].removeprefix("#") for error in document["errors"]]
    assert words in document["detail"]
    assert api.get("/training-runs").json()["data"] == []


def test_only_good_pairs_can_be_trained_on(api: TestClient, services: Services) -> None:
    few, bare, deleted = (
        send(api, pack(pairs(3))),
        send(api, pack(maps(4)), "maps"),
        send(api, pack(pairs(4))),
    )
    make_items(services)
    api.delete(f"/uploads/{deleted}")
    unchecked = send(api, pack(pairs(4)))
    data_set = api.post("/datasets", json={"count": 1}).json()["id"]
    for upload, words in (
        (few, "It has 3 pairs; 4 are needed."),
        (bare, "It holds maps; pairs are needed."),
        (unchecked, "it is queued"),
        (deleted, "There is no upload"),
        (data_set, "There is no upload"),
    ):
        document = problem(api.post("/training-runs", json=body(upload)), 422)
        assert document["errors"][0]["pointer"] == "#/upload"
        assert words in document["detail"]


def test_the_same_order_twice_is_one_run(api: TestClient, upload: str) -> None:
    key = {"Idempotency-Key": "once"}
    first, again = (order(api, upload, key) for _ in range(2))
    assert first == again
    problem(api.post("/training-runs", json=body(upload, seed=1), headers=key), 422)


def test_a_run_from_its_queue_to_its_model(
    api: TestClient, services: Services, upload: str
) -> None:
    home, second = order(api, upload), order(api, upload)
    slice_ = claim(services)
    live = {
        "stage": "vessel",
        "images": 150,
        "seconds": 60.0,
        "images_per_second": 2.5,
        "seconds_left": 60.0,
        "metrics": {"loss": 0.5},
    }
    renew(services.db, slice_, 150, live=live)
    run = api.get(home).json()
    assert run["status"] == "running"
    assert run["progress"] == {
        "slice": 0,
        "stage": "vessel",
        "stages": [
            {
                "stage": stage,
                "images": images,
                "minutes": images / 150,
                "of_images": 300,
                "of_minutes": None,
            }
            for stage, images in (("vessel", 150), ("photo", 0))
        ],
        "images_per_second": 2.5,
        "seconds_left": 60.0,
        "metrics": {"loss": 0.5},
    }
    assert api.get(second).json()["estimate"] == {"seconds_left": None, "queue_position": 1}

    assert complete(services.db, slice_, make_slice(services, slice_))
    run = api.get(home).json()
    assert run["estimate"]["seconds_left"] == 2 * 200 * 60 / 100
    assert run["settings"]["vessel"] == {"batch": 8}
    assert run["environment"]["device"] == "cpu"
    train(services, spent=True)
    assert api.get(home).json()["status"] == "packaging"
    train(services, package="somewhere")
    train(services, model="mine@1.0.0")
    run = api.get(home).json()
    assert (run["status"], run["model"]) == ("succeeded", "mine@1.0.0")
    assert run["links"]["model"] == "/models/mine@1.0.0"
    assert (run["links"]["cancel"], run["links"]["resume"]) == (None, None)
    assert all(run["timestamps"][state] for state in ("queued", "running", "packaging"))
    assert claim(services).job_id == second.rpartition("/")[2]
    used = api.get("/usage").json()
    assert (used["pairs"], used["device_seconds"]) == (0, 4 * 130)


def test_what_a_run_leaves_as_it_goes(api: TestClient, services: Services, upload: str) -> None:
    home = order(api, upload)
    assert api.get(f"{home}/samples").json() == {"data": []}
    problem(api.get(f"{home}/tensorboard"), 409)
    train(services)
    train(services)
    claim(services)

    def lines(**parameters: Any) -> tuple[list[int], bool]:
        page = api.get(f"{home}/metrics", params={"stage": "photo", **parameters}).json()
        return [line["images"] for line in page["data"]], page["has_more"]

    assert lines() == ([50, 100, 150, 200], False)
    assert lines(limit=3) == ([50, 100, 150], True)
    assert lines(after=150) == ([200], False)
    assert lines(after=200) == ([], False)
    page = api.get(f"{home}/metrics", params={"stage": "vessel", "limit": 1}).json()
    assert page["data"] == [{"images": 50, "seconds": 1.5, "values": {"loss": 0.25}}]
    assert parameters(api.get(f"{home}/metrics")) == ["stage"]

    sheets = api.get(f"{home}/samples").json()["data"]
    assert [(sheet["number"], sheet["images"]) for sheet in sheets] == [(0, 100), (1, 200)]
    response = api.get(sheets[1]["link"])
    assert response.headers["content-type"] == "image/png"
    assert response.content.startswith(b"\x89PNG")
    problem(api.get(f"{home}/samples/2"), 404)

    response = api.get(f"{home}/tensorboard")
    with zipfile.ZipFile(io.BytesIO(response.content)) as archive:
        folder = home.rpartition("/")[2]
        name = f"{folder}/vessel/events.out.tfevents.0000000000"
        assert len(archive.namelist()) == 2
        assert archive.read(name) == b"events"


def test_cancelled_and_resumed(api: TestClient, services: Services, upload: str) -> None:
    home = order(api, upload)
    assert api.post(f"{home}/cancel").json()["status"] == "cancelled"
    assert api.post(f"{home}/resume", json={}).json()["status"] == "queued"
    slice_ = claim(services)
    assert api.post(f"{home}/cancel").json()["status"] == "cancelling"
    assert complete(services.db, slice_, make_slice(services, slice_))  # what it had by then
    run = api.post(f"{home}/cancel").json()
    assert (run["status"], run["progress"]["stages"][0]["images"]) == ("cancelled", 200)

    for budget in ({"images": 299}, {"minutes": 60}):
        document = problem(api.post(f"{home}/resume", json={"budget": budget}), 422)
        assert document["errors"][0]["pointer"] == "#/budget"
    run = api.post(f"{home}/resume", json={"budget": {"images": 400}}).json()
    assert (run["status"], run["request"]["budget"]["images"]) == ("queued", 400)
    assert run["progress"]["stages"][0]["of_images"] == 400
    assert api.post(f"{home}/resume", json={}).json()["status"] == "queued"
    more = {"budget": {"images": 500}}
    assert problem(api.post(f"{home}/resume", json=more), 409)["type"] == NOT_READY.uri

    train(services, error={"code": "diverged", "detail": "The loss is nan."})
    run = api.get(home).json()
    assert (run["status"], run["error"]["code"]) == ("failed", "diverged")
    assert api.post(f"{home}/resume", json={}).json()["error"] is None
    train(services, model="mine@1.0.0")
    problem(api.post(f"{home}/resume", json={}), 409)


def test_an_upload_that_a_run_learns_from_is_kept(
    api: TestClient, services: Services, upload: str
) -> None:
    home = order(api, upload)
    conflict(api.delete(f"/uploads/{upload}"), "has not ended")
    assert api.get(f"/uploads/{upload}/pictures/0/image").status_code == 200
    api.post(f"{home}/cancel")
    assert api.delete(f"/uploads/{upload}").status_code == 204
    document = problem(api.post(f"{home}/resume", json={}), 409)
    assert document["detail"] == "The upload that the run learns from is gone."


@embedded
def test_expiry_spares_the_upload_of_an_unfinished_run(settings: Settings) -> None:
    app = create_app(settings.model_copy(update={"retention_hours": 1}))
    with TestClient(app) as api:
        services = app.state.services
        upload = send(api, pack(pairs(4)))
        make_items(services)
        home = order(api, upload)
        later = utc_now() + timedelta(hours=2)
        sweep(services.db, services.storage, clock=lambda: later)
        assert api.get(f"/uploads/{upload}").json()["status"] == "succeeded"
        train(services)
        train(services, model="mine@1.0.0")
        sweep(services.db, services.storage, clock=lambda: later)
        assert api.get(f"/uploads/{upload}").json()["status"] == "expired"
        run = api.get(home).json()
        assert (run["status"], run["model"]) == ("expired", "mine@1.0.0")
        for path in ("metrics?stage=photo", "samples", "samples/0", "tensorboard", "events"):
            assert problem(api.get(f"{home}/{path}"), 410)["type"] == EXPIRED.uri
        problem(api.post(f"{home}/resume", json={}), 410)
        assert services.storage.list(f"jobs/{home.rpartition('/')[2]}/") == []


def test_a_deleted_run_is_gone_with_what_it_left(
    api: TestClient, services: Services, upload: str
) -> None:
    home = order(api, upload)
    train(services)
    for _ in range(2):
        assert api.delete(home).status_code == 204
    problem(api.get(home), 404)
    sweep(services.db, services.storage)
    assert services.storage.list(f"jobs/{home.rpartition('/')[2]}/") == []
    assert api.delete(f"/uploads/{upload}").status_code == 204


@embedded
def test_anothers_run_is_as_if_it_were_not(settings: Settings) -> None:
    app = create_app(settings.model_copy(update={"access": Access.REQUIRED}))
    with TestClient(app) as api:
        services = app.state.services
        alice, bob = (caller(services, name) for name in ("alice", "bob"))
        upload = send(api, pack(pairs(4)), headers=alice)
        make_items(services)
        home = order(api, upload, alice)
        train(services)
        document = problem(api.post("/training-runs", json=body(upload), headers=bob), 422)
        assert document["errors"][0]["pointer"] == "#/upload"
        for path in (
            "",
            "/metrics?stage=photo",
            "/samples",
            "/samples/0",
            "/tensorboard",
            "/events",
        ):
            problem(api.get(home + path, headers=bob), 404)
        problem(api.post(f"{home}/cancel", headers=bob), 404)
        problem(api.post(f"{home}/resume", json={}, headers=bob), 404)
        problem(api.delete(home, headers=bob), 404)
        assert api.get("/training-runs", headers=bob).json()["data"] == []
        admin = caller(services, "root", Scope.ADMIN)
        assert api.get(home, headers=admin).json()["status"] == "running"
