"""What every error must look like."""

from typing import Any

from httpx2 import Response

from app.problems import PROBLEM_TYPES

KNOWN = {kind.uri: kind for kind in PROBLEM_TYPES}


def problem(response: Response, status: int) -> dict[str, Any]:
    """The problem document of an answer that must be one, with this status."""
    assert response.status_code == status, response.text
    assert response.headers["content-type"] == "application/problem+json"
    document = response.json()
    kind = KNOWN[document["type"]]
    assert document["status"] == kind.status == status
    assert document["title"] == kind.title
    assert "Traceback" not in response.text
    return document


def pointers(response: Response) -> list[str]:
    """The fields of the body that a 422 names."""
    return [error["pointer"] for error in problem(response, 422)["errors"]]


def parameters(response: Response) -> list[str]:
    """The parameters that a 422 names."""
    return [error["parameter"] for error in problem(response, 422)["errors"]]
