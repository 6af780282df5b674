"""Orders that ask something of all their pairs: what is refused, and what the job shows."""

from fastapi.testclient import TestClient

from app.settings import Settings
from tests.app.packages import write_package
from tests.app.problems import pointers


def test_a_model_that_does_not_know_left_from_right(api: TestClient, settings: Settings) -> None:
    write_package(settings.models_dir / "round", name="round", sampling={"batch_size": 4})
    response = api.post("/datasets", json={"count": 1, "model": "round", "eye": "left"})
    assert pointers(response) == ["#/eye"]
    assert "round@1.0.0 does not know left" in response.json()["detail"]
    assert [m["eyes"] for m in api.get("/models").json()["data"]] == [True, False]
