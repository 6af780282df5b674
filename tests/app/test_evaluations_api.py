"""Evaluations over HTTP: ordering, splitting, watching, cancelling, deleting, and their reports."""

from datetime import timedelta
from typing import Any

import pytest
from fastapi.testclient import TestClient

from app.clock import utc_now
from app.deps import Services
from app.jobs.evaluations import step_names
from app.jobs.leases import Claim, claim_next, complete, fail, renew
from app.jobs.sweep import sweep
from app.jobs.tables import Role
from app.main import create_app
from app.problems import EXPIRED, NOT_READY
from app.settings import Access, Settings
from tests.app.callers import Headers, caller
from tests.app.making import SUMMARY, make, make_items
from tests.app.packages import package_zip
from tests.app.problems import conflict, problem
from tests.app.test_training_api import body as training_body
from tests.app.test_training_api import send
from tests.zips import maps, pack, pairs

embedded = pytest.mark.parametrize("parts", ["embedded"], indirect=True)

LEARNED = ["0.png", "1.png", "2.jpg", "3.tif", "elsewhere.png"]  # by the model that is evaluated
ALL = [
    "measures",
    "real",
    "augmented",
    "synthetic",
    "fine-tuned",
    "mixed",
    "mixed-augmented",
    "rendered",
]


def import_model(api: TestClient, headers: Headers | None = None, **changes: Any) -> str:
    data = {"name": "Eyes", "licence": "CC0", "attribution": "a test", "images": LEARNED}
    package = package_zip(**{"name": "nose", "training_data": data, **changes})
    headers = {"Content-Type": "application/zip"} | (headers or {})
    response = api.post("/models", content=package, headers=headers)
    assert response.status_code == 201, response.text
    return response.json()["id"]


@pytest.fixture
def model(api: TestClient) -> str:
    return import_model(api)


@pytest.fixture
def upload(api: TestClient, services: Services) -> str:
    """Nine pairs, of which the model has learned from the first four."""
    upload_id = send(api, pack(pairs(9)))
    make_items(services)
    return upload_id


def order(api: TestClient, upload: str, headers: Headers | None = None, **fields: Any) -> str:
    """Orders an evaluation of ``nose`` unless told otherwise; returns its path."""
    body = {"upload": upload, **({} if "dataset" in fields else {"model": "nose"}), **fields}
    response = api.post("/evaluations", json=body, headers=headers)
    assert response.status_code == 202, response.text
    return response.headers["location"]


def claim(services: Services) -> Claim:
    found = claim_next(services.db, "a test", Role.TRAIN.kinds)
    assert found is not None
    return found


def do_steps(services: Services, most: int = 1000) -> list[str]:
    """Does items of the workers that train until there are none; returns what they were."""
    done = []
    while len(done) < most and (item := claim_next(services.db, "a test", Role.TRAIN.kinds)):
        assert complete(services.db, item, make(services, item))
        done.append(item.kind)
    return done


def files(side: list[dict[str, Any]]) -> list[int]:
    assert all(pair["file"] == f"images/{pair['number']}.png" for pair in side)
    return [pair["number"] for pair in side]


def test_an_order_is_answered_with_the_evaluation(api: TestClient, model: str, upload: str) -> None:
    sent = {"model": "nose", "upload": upload, "seed": 5, "steps": 20.0}
    response = api.post("/evaluations", json=sent)
    evaluation = response.json()
    assert (response.status_code, response.headers["retry-after"]) == (202, "1")
    home = f"/evaluations/{evaluation['id']}"
    assert response.headers["location"] == evaluation["links"]["self"] == home
    assert (evaluation["kind"], evaluation["status"]) == ("evaluation", "queued")
    request = dict(evaluation["request"])
    assert (files(request.pop("train")), files(request.pop("hold_out"))) == (
        [0, 1, 2, 3],
        [4, 5, 6, 7, 8],
    )
    assert request == {
        "model": "nose@1.0.0",
        "dataset": None,
        "upload": upload,
        "resolution": 64,
        "pairs": 200,
        "seeds": 3,
        "steps": 20,
        "seed": 5,
        "copy_overlap": 0.9,
        "network": "u-net",
        "only": ALL,
    }
    assert evaluation["progress"] == {"steps": 22, "done": 0, "current": []}
    assert evaluation["estimate"] == {"seconds_left": None, "queue_position": 1}
    assert api.get(home).json() == evaluation
    listed = api.get(f"/models/{model}").json()["links"]["evaluations"]
    assert [each["id"] for each in api.get(listed).json()["data"]] == [evaluation["id"]]
    assert api.get("/evaluations?model=eye@1.0.0").json()["data"] == []


WRONG: list[tuple[dict[str, Any], str, str]] = [
    ({"model": None}, "/model", "Give either model or dataset."),
    ({"dataset": "ds_x"}, "/model", "Give either model or dataset."),
    ({"model": "never"}, "/model", "There is no model 'never'"),
    ({"model": None, "dataset": "ds_x"}, "/dataset", "There is no data set 'ds_x'."),
    ({"upload": "up_never"}, "/upload", "There is no upload 'up_never'."),
    ({"pairs": 15}, "/pairs", "greater than or equal to 16"),
    ({"seeds": 0}, "/seeds", "greater than or equal to 1"),
    ({"steps": 10_001}, "/steps", "less than or equal to 10000"),
    ({"copy_overlap": 0.4}, "/copy_overlap", "greater than or equal to 0.5"),
    ({"network": "resnet"}, "/network", "'u-net' or 'attention'"),
    ({"only": []}, "/only", "at least 1 item"),
    ({"only": ["looks"]}, "/only/0", "'measures', 'real'"),
    ({"count": 1}, "/count", "There is no such field."),
    ({"train": 10}, "/train", "The upload has 9 pairs."),
    ({"train": True}, "/train", "give names of photographs"),
    ({"hold_out": [3]}, "/hold_out", "give names of photographs"),
    ({"hold_out": 6}, "/hold_out", "6 pairs are needed; there are 5 beside the 4 to train on"),
    ({"train": 6}, "/hold_out", "4 pairs are needed; there are 3 beside the 6 to train on"),
    ({"train": ["0.png"]}, "/train", "4 pairs are needed; there are 1."),
    ({"hold_out": ["4.png", "9.png"]}, "/hold_out", "no photograph '9.png'"),
    ({"hold_out": ["1.png", "4.png"]}, "/hold_out", "has learned from images/1.png"),
    ({"train": 4, "hold_out": ["3.png", "4.png"]}, "/hold_out", "Also in train: images/3.png"),
    ({"model": "eye"}, "/train", "The model has learned from none of these pairs"),
]


@embedded
def test_what_is_wrong_with_an_order_is_named(api: TestClient, model: str, upload: str) -> None:
    for changes, pointer, words in WRONG:
        sent = {"model": model, "upload": upload, **changes}
        sent = {name: value for name, value in sent.items() if value is not None}
        document = problem(api.post("/evaluations", json=sent), 422)
        assert [error["pointer"] for error in document["errors"]] == [f"#{pointer}"], changes
        assert words in document["detail"], changes
    assert api.get("/evaluations").json()["data"] == []


@embedded
def test_more_pairs_than_a_worker_holds_are_refused(api: TestClient, upload: str) -> None:
    import_model(api, name="wide", resolutions=[1024])
    sent = {"model": "wide", "upload": upload, "pairs": 313}
    document = problem(api.post("/evaluations", json=sent), 422)
    assert document["detail"] == "pairs: 312 pairs of 1024 px are taken at most."
    assert order(api, upload, model="wide", pairs=312)


SPLITS: list[tuple[dict[str, Any], list[int], list[int]]] = [
    ({"hold_out": 4}, [0, 1, 2, 3], [5, 6, 7, 8]),
    ({"train": 5}, [0, 1, 2, 3, 4], [5, 6, 7, 8]),
    (
        {"train": ["images/1.png", "2.png", "3.png", "4.png"]},
        [1, 2, 3, 4],
        [5, 6, 7, 8],
    ),
    (
        {
            "train": ["8.png", "7.png", "6.png", "5.png"],
            "hold_out": ["0.png", "1.png", "2.png", "3.png"],
        },
        [5, 6, 7, 8],
        [0, 1, 2, 3],
    ),
    (
        {"model": "eye", "hold_out": ["0.png", "2.png", "4.png", "6.png"]},
        [1, 3, 5, 7, 8],
        [0, 2, 4, 6],
    ),
    ({"model": "eye", "train": 5}, [0, 1, 2, 3, 4], [5, 6, 7, 8]),
]


@embedded
def test_pairs_are_on_the_side_that_is_asked_for(api: TestClient, model: str, upload: str) -> None:
    for fields, train, hold_out in SPLITS:
        request = api.get(order(api, upload, **fields)).json()["request"]
        sides = files(request["train"]), files(request["hold_out"])
        assert sides == (train, hold_out), fields


@embedded
def test_a_model_that_has_learned_from_all_cannot_be_tested(
    api: TestClient, model: str, services: Services
) -> None:
    small, bare = send(api, pack(pairs(7))), send(api, pack(maps(8)), "maps")
    make_items(services)
    for upload, words in ((small, "It has 7 pairs; 8 are needed."), (bare, "pairs are needed")):
        document = problem(api.post("/evaluations", json={"model": model, "upload": upload}), 422)
        assert words in document["detail"]
    learned = {"training_data": {"name": "All", "licence": "CC0", "attribution": "a test"}}
    learned["training_data"]["images"] = [f"{number}.png" for number in range(8)]
    import_model(api, name="ear", **learned)
    upload = send(api, pack(pairs(8)))
    make_items(services)
    document = problem(api.post("/evaluations", json={"model": "ear", "upload": upload}), 422)
    assert document["detail"].startswith(
        "hold_out: 4 pairs are needed; there are 0 beside the 8 to train on or that the model has"
    )


def test_the_same_order_twice_is_one_evaluation(api: TestClient, model: str, upload: str) -> None:
    key = {"Idempotency-Key": "once"}
    first, again = (order(api, upload, key) for _ in range(2))
    assert first == again
    changed = {"model": model, "upload": upload, "seeds": 1}
    problem(api.post("/evaluations", json=changed, headers=key), 422)


def test_an_evaluation_from_its_queue_to_its_report(
    api: TestClient, services: Services, model: str, upload: str
) -> None:
    home = order(api, upload, seeds=1, only=["measures", "real", "synthetic"])
    run = api.post("/training-runs", json=training_body(upload)).headers["location"]
    assert claim_next(services.db, "a test", Role.GENERATE.kinds) is None
    steps = [claim(services) for _ in range(3)]
    assert {step.job_id for step in steps} == {home.rpartition("/")[2]}
    assert problem(api.get(f"{home}/report"), 409)["type"] == NOT_READY.uri
    renew(services.db, steps[2], 40, live={"seconds": 10.0})
    evaluation = api.get(home).json()
    assert evaluation["status"] == "running"
    assert evaluation["progress"] == {
        "steps": 3,
        "done": 0,
        "current": [
            {"step": "measures", "share": 0.0},
            {"step": "fit:real:0", "share": 0.0},
            {"step": "fit:synthetic:0", "share": 0.4},
        ],
    }
    assert evaluation["estimate"]["seconds_left"] is None  # nothing tells of the measures
    assert complete(services.db, steps[0], make(services, steps[0]))
    assert api.get(home).json()["estimate"]["seconds_left"] == (25 + 15) / 2
    assert complete(services.db, steps[2], make(services, steps[2]))
    assert api.get(home).json()["estimate"]["seconds_left"] == 15
    assert api.get(run).json()["estimate"] == {"seconds_left": None, "queue_position": 1}
    assert complete(services.db, steps[1], make(services, steps[1]))
    assert api.get(home).json()["status"] == "packaging"
    report = claim(services)
    assert report.kind == "report"
    assert complete(services.db, report, make(services, report))

    evaluation = api.get(home).json()
    assert (evaluation["status"], evaluation["summary"]) == ("succeeded", SUMMARY)
    assert evaluation["progress"] == {"steps": 3, "done": 3, "current": []}
    assert evaluation["environment"]["device"] == "cpu"
    assert evaluation["links"]["cancel"] is None
    assert api.get(evaluation["links"]["report"]).json() == {"facts": {}}
    page = api.get(evaluation["links"]["page"])
    assert page.headers["content-type"].startswith("text/html")
    assert "sandbox; default-src 'none'" in page.headers["content-security-policy"]
    assert page.text == "<h1>F1"
    assert claim(services).job_id == run.rpartition("/")[2]
    assert api.get("/usage").json()["device_seconds"] == 3 * 20 + 2


def test_a_data_set_can_be_evaluated_and_is_kept(
    api: TestClient, services: Services, model: str, upload: str
) -> None:
    few = api.post("/datasets", json={"count": 15, "model": "nose"}).json()["id"]
    body = {"count": 20, "model": "nose", "resolution": 64, "layout": "drive"}
    dataset = api.post("/datasets", json=body).json()["id"]
    for dataset_id, words in ((dataset, "it is queued"), (few, "it is queued")):
        sent = {"dataset": dataset_id, "upload": upload}
        document = problem(api.post("/evaluations", json=sent), 422)
        assert (document["errors"][0]["pointer"], words in document["detail"]) == (
            "#/dataset",
            True,
        )
    make_items(services)
    for changes, words in (
        ({"dataset": few}, "dataset: It has 15 pairs; 16 are needed."),
        ({"dataset": dataset, "pairs": 21}, "pairs: 20 pairs are in the data set."),
    ):
        document = problem(api.post("/evaluations", json={"upload": upload, **changes}), 422)
        assert document["detail"] == words

    home = order(api, upload, dataset=dataset)
    request = api.get(home).json()["request"]
    assert (request["model"], request["dataset"]) == ("nose@1.0.0", dataset)
    assert (request["resolution"], request["pairs"], request["only"]) == (64, 20, ALL)
    for used in (f"/datasets/{dataset}", f"/uploads/{upload}", f"/models/{model}"):
        conflict(api.delete(used), "has not ended")
    assert api.post(f"{home}/cancel").json()["status"] == "cancelled"
    assert api.delete(f"/models/{model}").status_code == 204
    home = order(api, upload, dataset=dataset)  # without its model nothing can be rendered
    evaluation = api.get(home).json()
    assert (evaluation["package_digest"], evaluation["request"]["only"]) == (None, ALL[:-1])
    assert files(evaluation["request"]["hold_out"]) == [4, 5, 6, 7, 8]
    assert api.delete(home).status_code == 204
    for used in (f"/datasets/{dataset}", f"/uploads/{upload}"):
        assert api.delete(used).status_code == 204


def test_cancelled_in_the_middle_it_leaves_nothing_to_do(
    api: TestClient, services: Services, model: str, upload: str
) -> None:
    home = order(api, upload)
    do_steps(services, most=2)
    step = claim(services)
    assert api.post(f"{home}/cancel").json()["status"] == "cancelling"
    assert claim_next(services.db, "a test", Role.TRAIN.kinds) is None
    assert complete(services.db, step, make(services, step))
    evaluation = api.post(f"{home}/cancel").json()
    assert (evaluation["status"], evaluation["progress"]["done"]) == ("cancelled", 3)
    assert problem(api.get(f"{home}/report"), 409)["job_status"] == "cancelled"
    for _ in range(2):
        assert api.delete(home).status_code == 204
    problem(api.get(home), 404)


@embedded
def test_a_step_that_fails_too_often_is_named(
    api: TestClient, services: Services, model: str, upload: str
) -> None:
    home = order(api, upload, only=["measures", "mixed"], seeds=1)
    do_steps(services, most=1)
    for _ in range(services.settings.max_attempts):
        assert api.get(home).json()["error"] is None
        fail(services.db, claim(services), "out_of_memory", "There is too little memory.")
    evaluation = api.get(home).json()
    assert (evaluation["status"], evaluation["error"]["code"]) == ("failed", "out_of_memory")
    assert evaluation["error"]["detail"] == (
        "The step 'fit:mixed:0' could not be taken (tried 3 times). There is too little memory."
    )
    assert do_steps(services) == []


@embedded
def test_expiry_spares_what_an_unfinished_evaluation_needs(settings: Settings) -> None:
    app = create_app(settings.model_copy(update={"retention_hours": 1}))
    with TestClient(app) as api:
        services = app.state.services
        upload = send(api, pack(pairs(8)))
        dataset = api.post("/datasets", json={"count": 16}).json()["id"]
        make_items(services)
        home = order(api, upload, dataset=dataset, train=4)
        later = utc_now() + timedelta(hours=2)
        sweep(services.db, services.storage, clock=lambda: later)
        for kept in (f"/uploads/{upload}", f"/datasets/{dataset}"):
            assert api.get(kept).json()["status"] == "succeeded"
        assert do_steps(services) == [*["step"] * 22, "report"]
        sweep(services.db, services.storage, clock=lambda: later)
        evaluation = api.get(home).json()
        assert (evaluation["status"], evaluation["progress"]["done"]) == ("expired", 22)
        assert api.get(f"/datasets/{dataset}").json()["status"] == "expired"
        for path in ("report", "report.html", "events"):
            assert problem(api.get(f"{home}/{path}"), 410)["type"] == EXPIRED.uri
        assert services.storage.list(f"jobs/{home.rpartition('/')[2]}/") == []


@embedded
def test_anothers_evaluation_is_as_if_it_were_not(settings: Settings) -> None:
    app = create_app(settings.model_copy(update={"access": Access.REQUIRED}))
    with TestClient(app) as api:
        services = app.state.services
        alice, bob = (caller(services, name) for name in ("alice", "bob"))
        upload = send(api, pack(pairs(8)), headers=alice)
        dataset = api.post("/datasets", json={"count": 16}, headers=alice).json()["id"]
        make_items(services)
        home = order(api, upload, alice, dataset=dataset, train=4)
        do_steps(services)
        others = send(api, pack(pairs(8)), headers=bob)
        make_items(services)
        for used, pointer in (((dataset, others), "#/dataset"), ((None, upload), "#/upload")):
            sent = {"upload": used[1], "train": 4}
            sent |= {"dataset": used[0]} if used[0] else {"model": "eye"}
            document = problem(api.post("/evaluations", json=sent, headers=bob), 422)
            assert document["errors"][0]["pointer"] == pointer
        for path in ("", "/events", "/report", "/report.html"):
            problem(api.get(home + path, headers=bob), 404)
            assert api.get(home + path, headers=alice).status_code == 200
        problem(api.post(f"{home}/cancel", headers=bob), 404)
        problem(api.delete(home, headers=bob), 404)
        assert api.get("/evaluations", headers=bob).json()["data"] == []


def test_steps_are_numbered_by_the_request_alone() -> None:
    assert step_names({"only": ["mixed", "real"], "seeds": 2}) == [
        "fit:real:0",
        "fit:mixed:0",
        "fit:real:1",
        "fit:mixed:1",
    ]
