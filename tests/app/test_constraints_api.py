"""Orders that ask something of all their pairs: what is refused, what they cost, what they show."""

from collections.abc import Callable, Iterator
from typing import Any

import pytest
from fastapi.testclient import TestClient
from sqlalchemy import select

from app.deps import Services
from app.jobs.tables import Rate
from app.main import create_app
from app.settings import Settings
from tests.app.making import make_items
from tests.app.packages import write_package
from tests.app.problems import pointers

METRICS = {
    "maps_generated": {
        "vessel_share": {"mean": 0.1, "deviation": 0.01},
        "largest_piece_share": {"mean": 0.6, "deviation": 0.1},
    },
    "vessel_contrast": {"on_label": {"mean": 7.0, "deviation": 3.0}},
}


@pytest.fixture(autouse=True)
def measured(settings: Settings) -> None:
    """A second model, whose metrics tell what it makes and which does not know left from right."""
    changes = {"name": "measured", "sampling": {"batch_size": 4}, "metrics": METRICS}
    write_package(settings.models_dir / "measured", **changes)


@pytest.fixture
def api(settings: Settings) -> Iterator[TestClient]:
    with TestClient(create_app(settings.model_copy(update={"default_model": "measured"}))) as api:
        yield api


def quote(api: TestClient, **fields: Any) -> dict[str, Any]:
    response = api.post("/datasets", json={"count": 100, **fields}, params={"dry_run": True})
    assert response.status_code == 200, response.text
    return response.json()


def test_a_model_that_does_not_know_left_from_right(api: TestClient) -> None:
    response = api.post("/datasets", json={"count": 1, "eye": "left"})
    assert pointers(response) == ["#/eye"]
    assert "measured@1.0.0 does not know left" in response.json()["detail"]
    eyes = {model["name"]: model["eyes"] for model in api.get("/models").json()["data"]}
    assert eyes == {"eye": True, "measured": False}


@pytest.mark.parametrize(
    ("fields", "field", "words"),
    [
        ({"vessel_share": {"min": 0.13}}, "#/vessel_share", "usual range is 0.08 to 0.12"),
        ({"vessel_share": {"max": 0.07}}, "#/vessel_share", "with a mean of 0.1"),
        ({"minimum_quality": {"connected": 0.8}}, "#/minimum_quality/connected", "0.4 to 0.8"),
        ({"minimum_quality": {"contrast": 13}}, "#/minimum_quality/contrast", "1 to 13"),
        (
            {"vessel_share": {"min": 0.112}, "minimum_quality": {"contrast": 9}},
            "#/vessel_share",
            "together with the other limits",
        ),
    ],
)
def test_limits_that_hardly_any_pair_is_within_are_refused(
    api: TestClient, fields: dict[str, Any], field: str, words: str
) -> None:
    response = api.post("/datasets", json={"count": 1, **fields})
    assert pointers(response) == [field]
    assert words in response.json()["detail"]
    # Where the metrics do not tell, the worker will.
    assert api.post("/datasets", json={"count": 1, "model": "eye", **fields}).status_code == 202


def test_candidates_that_are_turned_away_are_part_of_the_quote(api: TestClient) -> None:
    free = quote(api)["seconds"]
    half_the_maps = quote(api, vessel_share={"min": 0.1})["seconds"]
    half_the_photographs = quote(api, minimum_quality={"contrast": 7})["seconds"]
    assert half_the_maps == pytest.approx(1.16 * free)
    assert half_the_photographs == pytest.approx(2 * free)
    assert quote(api, style_seed=1)["seconds"] == free


def test_a_job_says_what_was_turned_away(api: TestClient, services: Services) -> None:
    limits = {"vessel_share": {"min": 0.09, "max": None}, "minimum_quality": {"contrast": 4}}
    job = api.post("/datasets", json={"count": 8, **limits}).json()
    home = job["links"]["self"]
    assert job["request"]["vessel_share"] == {"min": 0.09, "max": None}
    assert job["progress"]["rejected"] == {"vessel_share": 0, "contrast": 0}
    make_items(services, most=1)
    assert api.get(home).json()["progress"]["rejected"] == {"vessel_share": 8, "contrast": 8}
    make_items(services)
    assert api.get(home).json()["progress"]["rejected"] == {"vessel_share": 16, "contrast": 16}


def test_an_estimate_follows_the_own_shards_and_teaches_no_other(
    api: TestClient, services: Services, order: Callable[..., str]
) -> None:
    job_id = order(8, vessel_share={"min": 0.1})
    before = api.get(f"/datasets/{job_id}").json()["estimate"]["seconds_left"]
    assert before == pytest.approx(8 * 0.25 * 1.16, abs=0.1)  # as the package expects
    make_items(services, most=1)
    after = api.get(f"/datasets/{job_id}").json()["estimate"]["seconds_left"]
    assert after == pytest.approx(4 * 0.1)  # as its first shard took
    make_items(services)
    with services.db.read() as session:
        assert session.scalars(select(Rate)).all() == []
    assert quote(api)["basis"] == "package"
