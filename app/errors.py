"""Errors as RFC 9457 problem documents: how code raises them and how they are answered."""

from collections.abc import Mapping, Sequence
from http import HTTPStatus
from typing import Any

from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse
from pydantic import BaseModel, ConfigDict, Field
from sqlalchemy.exc import OperationalError
from starlette.exceptions import HTTPException
from starlette.routing import Match

from app.observability.context import REQUEST_ID_HEADER
from app.problems import (
    BY_STATUS,
    EXPIRED,
    INTERNAL_ERROR,
    INVALID_REQUEST,
    MALFORMED_REQUEST,
    METHOD_NOT_ALLOWED,
    NOT_FOUND,
    NOT_READY,
    UNAVAILABLE,
    ProblemType,
)

MEDIA_TYPE = "application/problem+json"

PLAIN_WORDS = {
    "missing": "This field is required.",
    "extra_forbidden": "There is no such field.",
    "model_attributes_type": "The body must be a JSON object.",
}


class FieldError(BaseModel):
    """One thing that is wrong with a request."""

    detail: str = Field(description="What is wrong, or what would be right.")
    pointer: str | None = Field(
        default=None, description="JSON pointer to the field of the body, as a URI fragment."
    )
    parameter: str | None = Field(
        default=None, description="Name of the query, path or header parameter."
    )


class Problem(BaseModel):
    """An error (RFC 9457). Some types have members of their own; their page says which."""

    model_config = ConfigDict(
        extra="allow",
        json_schema_extra={
            "examples": [
                {
                    "type": INVALID_REQUEST.uri,
                    "title": INVALID_REQUEST.title,
                    "status": INVALID_REQUEST.status,
                    "detail": "count: Input should be greater than or equal to 1",
                    "errors": [
                        {
                            "detail": "Input should be greater than or equal to 1",
                            "pointer": "#/count",
                        }
                    ],
                }
            ]
        },
    )

    type: str = Field(description="URI of the page that describes this type of problem.")
    title: str = Field(description="The type in words; always the same for one type.")
    status: int = Field(description="The HTTP status.")
    detail: str | None = Field(default=None, description="What happened this time.")
    errors: list[FieldError] = Field(default=[], description="Every fault found in the request.")


class ProblemError(Exception):
    """Raised anywhere below a route to answer with a problem."""

    def __init__(
        self,
        kind: ProblemType,
        detail: str | None = None,
        *,
        errors: Sequence[FieldError] = (),
        headers: Mapping[str, str] | None = None,
        **members: Any,
    ) -> None:
        super().__init__(detail or kind.title)
        self.kind = kind
        self.detail = detail
        self.errors = errors
        self.headers = headers
        self.members = members


def invalid_field(field: str, detail: str) -> ProblemError:
    """The problem that one field of the body is wrong."""
    return invalid_request([FieldError(detail=detail, pointer=f"#/{field}")])


def invalid_parameter(parameter: str, detail: str) -> ProblemError:
    """The problem that one query or path parameter is wrong."""
    return invalid_request([FieldError(detail=detail, parameter=parameter)])


def invalid_request(errors: Sequence[FieldError]) -> ProblemError:
    """The problem of a request with these faults."""
    parts = []
    for error in errors:
        name = error.parameter or (error.pointer or "").lstrip("#/")
        parts.append(f"{name}: {error.detail}" if name else error.detail)
    return ProblemError(INVALID_REQUEST, "; ".join(parts), errors=errors)


def not_found(what: str) -> ProblemError:
    """The problem that something named in the path does not exist."""
    return ProblemError(NOT_FOUND, f"There is no {what}.")


def not_ready(status: str, detail: str) -> ProblemError:
    """The problem that a job in this status does not have what was asked for."""
    return ProblemError(NOT_READY, detail, job_status=status)


def expired(what: str) -> ProblemError:
    """The problem that the bytes of something have been removed because its time was over."""
    return ProblemError(EXPIRED, f"The {what} has expired and its files are removed.")


def problem_response(error: ProblemError) -> JSONResponse:
    """The answer to a request that ended in this error."""
    kind = error.kind
    problem = Problem(
        type=kind.uri,
        title=kind.title,
        status=kind.status,
        detail=error.detail,
        errors=list(error.errors),
        **error.members,
    )
    return JSONResponse(
        problem.model_dump(exclude_none=True, exclude_defaults=True),
        kind.status,
        headers=error.headers,
        media_type=MEDIA_TYPE,
    )


def answer_with_problems(app: FastAPI) -> None:
    """Make every error of the app a problem document, those of the framework and bugs included."""

    @app.exception_handler(ProblemError)
    def problem(_request: Request, error: ProblemError) -> JSONResponse:
        return problem_response(error)

    @app.exception_handler(RequestValidationError)
    def validation(_request: Request, error: RequestValidationError) -> JSONResponse:
        faults = error.errors()
        if faults[0]["type"] == "json_invalid":
            reason, place = faults[0]["ctx"]["error"], faults[0]["loc"][-1]
            return problem_response(
                ProblemError(
                    MALFORMED_REQUEST, f"The body is not JSON: {reason} at character {place}."
                )
            )
        return problem_response(invalid_request([_field_error(fault) for fault in faults]))

    @app.exception_handler(HTTPException)
    def http(request: Request, error: HTTPException) -> JSONResponse:
        kind = BY_STATUS.get(error.status_code) or ProblemType(
            "", error.status_code, HTTPStatus(error.status_code).phrase, ""
        )
        phrase = HTTPStatus(error.status_code).phrase
        detail = None if error.detail == phrase else error.detail  # the title says it better
        headers = dict(error.headers or {})
        if kind is METHOD_NOT_ALLOWED:
            headers["Allow"] = ", ".join(_methods_here(request))
        return problem_response(ProblemError(kind, detail, headers=headers))

    @app.exception_handler(OperationalError)
    def database(_request: Request, _error: OperationalError) -> JSONResponse:
        return problem_response(
            ProblemError(
                UNAVAILABLE, "The database cannot be used now.", headers={"Retry-After": "5"}
            )
        )

    @app.exception_handler(Exception)
    def bug(request: Request, _error: Exception) -> JSONResponse:
        # Made outside of all that adds it to other answers; here it is needed most.
        headers = {REQUEST_ID_HEADER: request.state.request_id}
        return problem_response(ProblemError(INTERNAL_ERROR, headers=headers))


def _methods_here(request: Request) -> list[str]:
    """Every method that the path has. (The framework's own answer names those of one route.)"""
    return [
        method
        for method in ("DELETE", "GET", "HEAD", "PATCH", "POST", "PUT")
        if any(
            route.matches({**request.scope, "method": method})[0] is Match.FULL
            for route in request.app.routes
        )
    ]


def _field_error(fault: Mapping[str, Any]) -> FieldError:
    where, *path = fault["loc"]
    detail = PLAIN_WORDS.get(fault["type"], fault["msg"])
    if where != "body":
        return FieldError(detail=detail, parameter=".".join(str(part) for part in path))
    escaped = (str(part).replace("~", "~0").replace("/", "~1") for part in path)
    return FieldError(detail=detail, pointer="#" + "".join(f"/{part}" for part in escaped))
