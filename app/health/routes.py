"""Liveness, readiness, metrics and the pages that explain problems."""

from typing import Literal

from fastapi import APIRouter
from fastapi.responses import PlainTextResponse
from prometheus_client import CONTENT_TYPE_LATEST, generate_latest
from pydantic import BaseModel

from app.access.caller import Admin
from app.deps import ServicesDep
from app.errors import ProblemError, not_found
from app.health.readiness import State
from app.openapi import problems
from app.problems import (
    INSUFFICIENT_SCOPE,
    NOT_FOUND,
    PROBLEM_TYPES,
    UNAUTHENTICATED,
    UNAVAILABLE,
)

router = APIRouter(tags=["operation"])

FRESH_SECONDS = 10.0  # /metrics does not try the parts again so soon


class Alive(BaseModel):
    status: Literal["alive"] = "alive"


class Checks(BaseModel):
    """The state of each part that the service needs."""

    database: State
    broker: State
    storage: State


class Ready(BaseModel):
    status: Literal["ready"] = "ready"
    checks: Checks


@router.get("/healthz", summary="Is the process alive?")
def get_health() -> Alive:
    """Answers as long as the process does; looks at nothing else."""
    return Alive()


@router.get("/readyz", summary="Can the service work?", responses=problems(UNAVAILABLE))
def get_readiness(services: ServicesDep) -> Ready:
    """Tries the database, the broker and the storage, and names the state of each.

    A part that does not answer within three seconds is failing.
    """
    states = services.readiness.states()
    missing = [name for name, state in states.items() if state != "ready"]
    if missing:
        raise ProblemError(UNAVAILABLE, f"Not to be used now: {', '.join(missing)}.", checks=states)
    return Ready(checks=Checks(**states))


@router.get(
    "/metrics",
    summary="Metrics, for Prometheus",
    response_class=PlainTextResponse,
    responses=problems(UNAUTHENTICATED, INSUFFICIENT_SCOPE, UNAVAILABLE),
)
def get_metrics(services: ServicesDep, _: Admin) -> PlainTextResponse:
    """Requests by route, what waits in the database, and which parts can be used. Needs an `admin` key."""
    states = services.readiness.states(FRESH_SECONDS)
    if states["database"] == "ready":
        services.backlog.refresh()
    else:
        services.backlog.forget()
    return PlainTextResponse(generate_latest(), media_type=CONTENT_TYPE_LATEST)


@router.get(
    "/problems/{slug}",
    summary="What does this problem mean?",
    response_class=PlainTextResponse,
    responses=problems(NOT_FOUND),
)
def get_problem_type(slug: str) -> str:
    """The page that the `type` of a problem document leads to."""
    for kind in PROBLEM_TYPES:
        if kind.slug == slug:
            return f"{kind.title} ({kind.status})\n\n{kind.meaning}\n"
    raise not_found(f"type of problem {slug!r}")
