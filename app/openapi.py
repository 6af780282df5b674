"""The OpenAPI document. ``python -m app.openapi`` writes the committed copy, openapi.json."""

import json
from typing import Any

from fastapi import FastAPI
from fastapi.openapi.utils import get_openapi

from app.errors import MEDIA_TYPE, Problem
from app.problems import INTERNAL_ERROR, ProblemType
from app.settings import SOURCE_TREE, Access, Settings

Responses = dict[int | str, dict[str, Any]]

COMMITTED = SOURCE_TREE / "openapi.json"


def header(description: str, kind: str = "string", *, required: bool = True) -> dict[str, Any]:
    """A header of an answer; ``required`` says that it is always there."""
    header = {"description": description, "schema": {"type": kind}}
    return header | {"required": True} if required else header


# What errors of a status carry besides the problem document.
CHALLENGE = {"WWW-Authenticate": header("What kind of key is needed (RFC 6750).")}
ERROR_HEADERS = {
    401: CHALLENGE,
    403: CHALLENGE,
    416: {"Content-Range": header("The file's length: bytes */length.")},
    429: {"Retry-After": header("Seconds until the request will be taken.", "integer")},
    503: {"Retry-After": header("Seconds until a next try.", "integer", required=False)},
}


def problems(*kinds: ProblemType) -> Responses:
    """The ``responses=`` of a route that can answer with these problems."""
    responses: Responses = {}
    for kind in kinds:
        before = responses.get(kind.status)
        title = f"{before['description']}, or: {kind.title}" if before else kind.title
        responses[kind.status] = {"description": title}
        if kind.status in ERROR_HEADERS:
            responses[kind.status]["headers"] = ERROR_HEADERS[kind.status]
    return responses


def describe(app: FastAPI, settings: Settings) -> None:
    """Give the app an OpenAPI document of the service as these settings make it."""

    def openapi() -> dict[str, Any]:
        if app.openapi_schema is None:
            app.openapi_schema = _build(app, settings)
        return app.openapi_schema

    app.openapi = openapi  # type: ignore[method-assign]  # the way FastAPI documents


def render(app: FastAPI) -> str:
    """The document as it is committed."""
    return json.dumps(app.openapi(), indent=1, ensure_ascii=False) + "\n"


def _build(app: FastAPI, settings: Settings) -> dict[str, Any]:
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
    schemas["DatasetOrder"]["properties"]["count"]["maximum"] = settings.max_count
    answer = {MEDIA_TYPE: {"schema": {"$ref": "#/components/schemas/Problem"}}}
    for path in document["paths"].values():
        for operation in path.values():
            if "security" in operation and settings.resolved_access is not Access.REQUIRED:
                operation["security"].append({})  # a key may be left out
            responses = operation["responses"]
            responses[str(INTERNAL_ERROR.status)] = {"description": INTERNAL_ERROR.title}
            for status, response in responses.items():
                if int(status) >= 400:
                    response["content"] = answer
                for media in response.get("content", {}).values():
                    if "itemSchema" in media:  # of an event: OpenAPI 3.1 does not have it yet
                        media["schema"] = media.pop("itemSchema")
    return document


if __name__ == "__main__":
    from app.main import create_app

    COMMITTED.write_text(render(create_app(Settings())), encoding="utf-8")
