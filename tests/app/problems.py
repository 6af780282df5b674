"""What every error must look like."""

from typing import Any

from httpx2 import Response

from app.problems import CONFLICT, PROBLEM_TYPES, UNTYPED

KNOWN = {(kind.uri, kind.title): kind for kind in PROBLEM_TYPES + UNTYPED}


def problem(response: Response, status: int) -> dict[str, Any]:
    """The problem document of an answer that must be one, with this status."""
    assert response.status_code == status, response.text
    assert response.headers["content-type"] == "application/problem+json"
    document = response.json()
    kind = KNOWN[document["type"], document["title"]]
    assert document["status"] == kind.status == status
    assert "Traceback" not in response.text
    return document


def conflict(response: Response, reason: str) -> None:
    """The answer must be a conflict whose detail contains the reason."""
    document = problem(response, 409)
    assert document["type"] == CONFLICT.uri
    assert reason in document["detail"]


def pointers(response: Response) -> list[str]:
    """The fields of the body that a 422 names."""
    return [error["pointer"] for error in problem(response, 422)["errors"]]


def parameters(response: Response) -> list[str]:
    """The parameters that a 422 names."""
    return [error["parameter"] for error in problem(response, 422)["errors"]]
