"""The OpenAPI document. ``python -m app.openapi`` writes the committed copy, openapi.json."""

import json
from typing import Any

from fastapi import FastAPI
from fastapi.openapi.utils import get_openapi

from app.errors import MEDIA_TYPE, Problem
from app.problems import INTERNAL_ERROR, ProblemType
from app.settings import SOURCE_TREE

Responses = dict[int | str, dict[str, Any]]

COMMITTED = SOURCE_TREE / "openapi.json"


def problems(*kinds: ProblemType) -> Responses:
    """The ``responses=`` of a route that can answer with these problems."""
    responses: Responses = {}
    for kind in kinds:
        before = responses.get(kind.status)
        title = f"{before['description']}, or: {kind.title}" if before else kind.title
        responses[kind.status] = {"description": title}
    return responses


def describe_problems(app: FastAPI) -> None:
    """Give every error answer in the app's OpenAPI document the one schema that they all have."""

    def openapi() -> dict[str, Any]:
        if app.openapi_schema is None:
            app.openapi_schema = _build(app)
        return app.openapi_schema

    app.openapi = openapi  # type: ignore[method-assign]  # the way FastAPI documents


def render(app: FastAPI) -> str:
    """The document as it is committed."""
    return json.dumps(app.openapi(), indent=1, ensure_ascii=False) + "\n"


def _build(app: FastAPI) -> dict[str, Any]:
    document = get_openapi(
        title=app.title,
        version=app.version,
        summary=app.summary,
        description=app.description,
        routes=app.routes,
        tags=app.openapi_tags,
    )
    schemas = document["components"]["schemas"]
    for unused in ("HTTPValidationError", "ValidationError"):
        schemas.pop(unused, None)
    template = "#/components/schemas/{model}"
    problem = Problem.model_json_schema(ref_template=template)
    schemas |= problem.pop("$defs") | {"Problem": problem}
    answer = {MEDIA_TYPE: {"schema": {"$ref": "#/components/schemas/Problem"}}}
    for path in document["paths"].values():
        for operation in path.values():
            responses = operation["responses"]
            responses["default"] = {"description": INTERNAL_ERROR.title}
            for status, response in responses.items():
                if status == "default" or int(status) >= 400:
                    response["content"] = answer
    return document


if __name__ == "__main__":
    from app.main import create_app
    from app.settings import Settings

    COMMITTED.write_text(render(create_app(Settings())), encoding="utf-8")
