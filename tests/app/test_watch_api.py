"""Watching, listing, cancelling and deleting over HTTP."""

from collections.abc import Callable

import pytest
from fastapi.testclient import TestClient

from app.deps import Services
from app.jobs.leases import claim_next, fail, renew
from tests.app.making import ENVIRONMENT, make_items
from tests.app.problems import parameters, problem

Order = Callable[..., str]


def test_progress_from_order_to_archive(api: TestClient, services: Services, order: Order) -> None:
    home = f"/datasets/{order(8)}"
    seen = []
    for _ in range(4):
        job = api.get(home).json()
        seen.append((job["status"], job["progress"]["generated"], job["progress"]["packaged"]))
        make_items(services, most=1)
    assert seen == [
        ("queued", 0, 0),
        ("running", 4, 0),
        ("packaging", 8, 0),
        ("succeeded", 8, 8),
    ]
    response = api.get(home)
    job = response.json()
    assert "retry-after" not in response.headers
    assert job["environment"] == ENVIRONMENT
    assert job["links"]["download"] == f"{home}/download"
    assert job["links"]["cancel"] is None
    assert job["estimate"] == {
        "seconds_left": None,
        "queue_position": None,
        "bytes": job["archive"]["bytes"],
    }
    assert job["rates"] == {"generate": 10, "encode": 40, "upload": 200}  # as both shards say
    times = job["timestamps"]
    reached = [times[name] for name in ("queued", "running", "packaging", "succeeded")]
    assert reached == sorted(reached)
    assert times["failed"] is times["cancelled"] is None


def test_progress_grows_within_a_shard(api: TestClient, services: Services, order: Order) -> None:
    home = f"/datasets/{order(8)}"
    claim = claim_next(services.db, "one")
    assert claim is not None
    for pairs in (1, 3):
        renew(services.db, claim, progress=pairs)
        response = api.get(home)
        assert response.json()["progress"]["generated"] == pairs
        assert int(response.headers["retry-after"]) >= 1


def test_estimates_count_what_is_ahead(api: TestClient, services: Services, order: Order) -> None:
    ids = [order(8), order(4), order(4)]
    make_items(services, most=1)  # learns 0.1 s a pair; half of the first order is left

    def estimates(key: str) -> list[float | None]:
        return [api.get(f"/datasets/{id}").json()["estimate"][key] for id in ids]

    assert estimates("queue_position") == [None, 1, 2]
    assert estimates("seconds_left") == pytest.approx([0.4, 0.8, 1.2])
    claim_next(services.db, "one")
    claim_next(services.db, "two")  # two workers share the work
    assert estimates("queue_position") == [None, None, 1]
    assert estimates("seconds_left") == pytest.approx([0.2, 0.4, 0.6])
    assert all(size and size > 0 for size in estimates("bytes"))


def test_long_jobs_are_looked_at_less_often(api: TestClient, order: Order) -> None:
    job_id = order(100_000)
    assert api.get(f"/datasets/{job_id}").headers["retry-after"] == "10"


def test_a_failed_job_says_why(api: TestClient, services: Services, order: Order) -> None:
    job_id = order(4)
    while claim := claim_next(services.db, "one"):
        fail(services.db, claim, "out_of_memory", "The worker has too little memory.")
    job = api.get(f"/datasets/{job_id}").json()
    assert job["status"] == "failed"
    detail = "Pairs 0 to 3 could not be made (tried 3 times). The worker has too little memory."
    assert job["error"] == {"code": "out_of_memory", "detail": detail}
    assert job["links"]["download"] is None


def test_an_unchanged_job_is_not_sent_again(
    api: TestClient, services: Services, order: Order
) -> None:
    home = f"/datasets/{order(4)}"
    etag = api.get(home).headers["etag"]
    again = api.get(home, headers={"if-none-match": etag})
    assert (again.status_code, again.content) == (304, b"")
    make_items(services, most=1)
    assert api.get(home, headers={"if-none-match": etag}).status_code == 200


def test_a_job_outlives_its_model(api: TestClient, services: Services, order: Order) -> None:
    job_id = order(4)
    before = api.get(f"/datasets/{job_id}").json()["estimate"]
    folder = services.settings.models_dir / "eye"
    (folder / "package.json").rename(folder / "gone.json")
    assert api.get(f"/datasets/{job_id}").json()["estimate"] == before
    assert before["seconds_left"] is not None and before["bytes"] is not None


def test_pages_are_the_newest_first(api: TestClient, order: Order) -> None:
    ids = [order(1) for _ in range(5)][::-1]
    found: list[str] = []
    after: dict[str, str] = {}
    pages = []
    while True:
        page = api.get("/datasets", params={"limit": 2, **after}).json()
        pages.append((len(page["data"]), page["has_more"]))
        found += [job["id"] for job in page["data"]]
        if not page["has_more"]:
            break
        after = {"after": found[-1]}
    assert found == ids
    assert pages == [(2, True), (2, True), (1, False)]


def test_new_orders_and_deletions_do_not_disturb_paging(api: TestClient, order: Order) -> None:
    ids = [order(1) for _ in range(4)][::-1]
    api.delete(f"/datasets/{ids[1]}")
    order(1)
    page = api.get("/datasets", params={"after": ids[1]}).json()
    assert [job["id"] for job in page["data"]] == ids[2:]


def test_the_list_shows_what_the_job_shows(
    api: TestClient, services: Services, order: Order
) -> None:
    finished, waiting = order(4), order(4)
    make_items(services, most=2)
    shown = {job["id"]: job for job in api.get("/datasets").json()["data"]}
    assert shown == {id: api.get(f"/datasets/{id}").json() for id in (finished, waiting)}


def test_the_list_can_be_filtered(api: TestClient, services: Services, order: Order) -> None:
    finished, waiting = order(4), order(4)
    make_items(services, most=2)

    def ids(status: str) -> list[str]:
        return [job["id"] for job in api.get("/datasets", params={"status": status}).json()["data"]]

    assert ids("succeeded") == [finished]
    assert ids("queued") == [waiting]
    assert ids("failed") == []


def test_too_long_a_page_is_reduced(api: TestClient, order: Order) -> None:
    for _ in range(101):
        order(1)
    page = api.get("/datasets", params={"limit": 10**6}).json()
    assert (len(page["data"]), page["has_more"]) == (100, True)


@pytest.mark.parametrize(
    ("query", "named"),
    [
        ({"limit": 0}, "limit"),
        ({"limit": "many"}, "limit"),
        ({"status": "lost"}, "status"),
        ({"after": "ds_never"}, "after"),
        ({"after": "\0"}, "after"),
    ],
)
def test_a_bad_parameter_is_named(api: TestClient, query: dict[str, str], named: str) -> None:
    assert parameters(api.get("/datasets", params=query)) == [named]


def test_what_can_be_no_id_is_named(api: TestClient) -> None:
    for path in ("/datasets/%00", f"/datasets/{'x' * 41}", "/datasets/a%20b/download"):
        assert parameters(api.get(path)) == ["dataset_id"]


def test_cancel_and_delete_can_be_repeated(api: TestClient, order: Order) -> None:
    home = f"/datasets/{order(4)}"
    first, second = (api.post(f"{home}/cancel") for _ in range(2))
    assert first.status_code == second.status_code == 200
    assert first.json() == second.json() == api.get(home).json()
    assert first.json()["status"] == "cancelled"
    assert [api.delete(home).status_code for _ in range(2)] == [204, 204]
    assert api.get("/datasets").json() == {"data": [], "has_more": False}
    problem(api.get(home), 404)
    problem(api.post(f"{home}/cancel"), 404)


def test_a_running_job_is_cancelling_first(
    api: TestClient, services: Services, order: Order
) -> None:
    home = f"/datasets/{order(4)}"
    claim_next(services.db, "one")
    response = api.post(f"{home}/cancel")
    assert response.json()["status"] == "cancelling"
    assert int(response.headers["retry-after"]) >= 1


@pytest.mark.parametrize(
    ("method", "path"),
    [
        ("GET", ""),
        ("DELETE", ""),
        ("POST", "/cancel"),
        ("GET", "/download"),
        ("GET", "/preview"),
        ("GET", "/pairs/0/image"),
    ],
)
def test_what_was_never_ordered_is_not_found(api: TestClient, method: str, path: str) -> None:
    document = problem(api.request(method, f"/datasets/ds_never{path}"), 404)
    assert "ds_never" in document["detail"]
