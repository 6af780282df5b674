"""Orders from models that draw more than vessels, at several resolutions."""

import io
import json
import urllib.request
import zipfile
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from fastapi.testclient import TestClient

from app.archive.formats import PNG
from app.deps import Services
from app.main import create_app
from app.settings import Settings
from tests.app.making import make_items, picture
from tests.app.packages import package_zip, write_package
from tests.app.problems import pointers, problem

ALL_CHANNELS = ["vessels", "disc", "dark_lesions", "bright_lesions"]
METRICS = {"maps_generated": {"vessel_share": {"mean": 0.1, "deviation": 0.01}}}
FINER = {"maps_generated": {"vessel_share": {"mean": 0.2, "deviation": 0.01}}}


@pytest.fixture
def api(settings: Settings) -> Iterator[TestClient]:
    """Of three models: eye, the default; fundus, of all channels and three sizes; disc, of discs alone."""
    write_package(
        settings.models_dir / "fundus",
        name="fundus",
        format="fundusmith-model/2",
        resolutions=[64, 256, 512],
        channels=ALL_CHANNELS,
        expected={
            "seconds_per_pair": 0.1,
            "bytes_per_pair": 1e5,
            "machine": "a test",
            "by_resolution": {"512": {"seconds_per_pair": 0.8, "bytes_per_pair": 9e5}},
        },
        metrics={**METRICS, "by_resolution": {"512": FINER}},
    )
    write_package(
        settings.models_dir / "disc", name="disc", resolutions=[64], channels=["vessels", "disc"]
    )
    with TestClient(create_app(settings.model_copy(update={"default_model": "eye"}))) as api:
        yield api


def quote(api: TestClient, **fields: Any) -> dict[str, Any]:
    response = api.post("/datasets", json={"count": 10, **fields}, params={"dry_run": True})
    assert response.status_code == 200, response.text
    return response.json()


def test_a_model_says_what_it_draws(api: TestClient) -> None:
    models = {model["name"]: model for model in api.get("/models").json()["data"]}
    assert {name: model["masks"] for name, model in models.items()} == {
        "eye": [],
        "disc": ["disc"],
        "fundus": ["disc", "lesions"],
    }
    assert models["eye"]["channels"] == ["vessels"]
    assert models["fundus"]["channels"] == ALL_CHANNELS
    assert models["fundus"]["resolutions"] == [64, 256, 512]


def test_lesions_are_filled_in(api: TestClient) -> None:
    def filled(**fields: Any) -> str | None:
        return quote(api, **fields)["request"]["lesions"]

    assert filled(model="fundus") == filled(model="fundus", lesions="mixed") == "mixed"
    assert filled(model="fundus", lesions="all") == "all"
    assert filled(model="eye") is None
    assert filled(model="eye", lesions="mixed") == filled(model="eye", lesions="none") == "none"


@pytest.mark.parametrize(
    ("fields", "pointer", "words"),
    [
        (
            {"lesions": "all"},
            "#/lesions",
            "eye@1.0.0 draws no lesions. Order from one that does: fundus@1",
        ),
        (
            {"masks": ["lesions"]},
            "#/masks/0",
            "draws no lesions. Order from one that does: fundus@1.0.0.",
        ),
        (
            {"masks": ["disc"]},
            "#/masks/0",
            "no optic disc. Order from one that does: disc@1.0.0, fundus",
        ),
        (
            {"masks": ["disc", "lesions"], "model": "disc"},
            "#/masks/1",
            "disc@1.0.0 draws no lesions",
        ),
    ],
)
def test_what_a_model_does_not_draw_is_refused(
    api: TestClient, fields: dict[str, Any], pointer: str, words: str
) -> None:
    response = api.post("/datasets", json={"count": 1, **fields})
    assert pointers(response) == [pointer]
    assert words in response.json()["detail"]


def test_masks_are_named_once_and_in_one_order(api: TestClient) -> None:
    body = {"count": 1, "model": "fundus"}
    twice = api.post("/datasets", json={**body, "masks": ["disc", "disc"]})
    assert pointers(twice) == ["#/masks"]
    masks = quote(api, model="fundus", masks=["lesions", "disc"])["request"]["masks"]
    assert masks == ["disc", "lesions"]
    assert quote(api, model="fundus", masks=[])["request"]["masks"] is None


def test_masks_are_made_packed_and_sent(
    api: TestClient, services: Services, order: Callable[..., str]
) -> None:
    home = f"/datasets/{order(4, model='fundus', masks=['disc', 'lesions'])}"
    plain = f"/datasets/{order(4, model='fundus')}"
    make_items(services)
    for which in ("disc", "lesions"):
        response = api.get(f"{home}/pairs/1/{which}")
        assert response.headers["content-type"] == PNG.media_type
        assert response.content == picture(1, which)
        assert (
            "asked for no such masks" in problem(api.get(f"{plain}/pairs/1/{which}"), 404)["detail"]
        )
    links = api.get(f"{home}/pairs").json()["data"][1]["links"]
    assert links["disc"] == f"{home}/pairs/1/disc"
    assert api.get(f"{plain}/pairs").json()["data"][1]["links"]["lesions"] is None
    assert api.get(f"{home}/preview").content == api.get(f"{plain}/preview").content
    response = api.get(f"{home}/download", follow_redirects=False)
    content = response.content
    if response.status_code == 307:  # from a bucket
        with urllib.request.urlopen(response.headers["location"]) as answer:
            content = answer.read()
    with zipfile.ZipFile(io.BytesIO(content)) as archive:
        assert archive.read("train/lesions/000001.png") == picture(1, "lesions")
        manifest = json.loads(archive.read("manifest.json"))
        assert "| Lesions | mixed" in archive.read("README.md").decode()
    assert (manifest["order"]["lesions"], manifest["order"]["masks"]) == (
        "mixed",
        ["disc", "lesions"],
    )


def test_a_resolution_alone_finds_a_model_that_makes_it(api: TestClient) -> None:
    def model(**fields: Any) -> tuple[str, int]:
        request = quote(api, **fields)["request"]
        return request["model"], request["resolution"]

    assert model() == ("eye@1.0.0", 64)
    assert model(resolution=128) == ("eye@1.0.0", 128)
    assert model(resolution=512) == ("fundus@1.0.0", 512)
    # One that is shipped goes before one's own, whatever their names.
    changes = {"name": "a", "resolutions": [32, 512]}
    headers = {"content-type": "application/zip"}
    assert api.post("/models", content=package_zip(**changes), headers=headers).status_code == 201
    assert model(resolution=512) == ("fundus@1.0.0", 512)
    assert model(resolution=32) == ("a@1.0.0", 32)
    response = api.post("/datasets", json={"count": 1, "resolution": 512, "model": "eye"})
    assert pointers(response) == ["#/resolution"]
    assert response.json()["detail"].endswith("The model eye@1.0.0 makes: 64, 128.")


def test_costs_and_limits_are_those_of_the_resolution(api: TestClient) -> None:
    costs = [quote(api, model="fundus", resolution=side) for side in (64, 256, 512)]
    assert [each["seconds"] for each in costs] == [1.0, 1.0, 8.0]
    assert [each["bytes"] for each in costs] == [1_000_000, 1_000_000, 9_000_000]
    share = {"model": "fundus", "vessel_share": {"min": 0.18}}
    quote(api, **share, resolution=512)
    assert pointers(api.post("/datasets", json={"count": 1, **share})) == ["#/vessel_share"]
