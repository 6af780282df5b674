import pytest
from fastapi.testclient import TestClient

from app.settings import Settings
from tests.app.packages import CARD, write_package
from tests.app.problems import problem


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
    assert len(model["digest"]) == 64
    assert model["links"] == {
        "self": "/models/eye@1.0.0",
        "card": "/models/eye@1.0.0/card",
        "samples": None,
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


@pytest.mark.parametrize("path", ["nose", "eye@9.9.9", "nose/card", "eye/samples", "eye/weights"])
def test_what_is_not_there(api: TestClient, path: str) -> None:
    problem(api.get(f"/models/{path}"), 404)
