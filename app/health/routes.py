"""Liveness, readiness and the pages that explain problems."""

import logging
from collections.abc import Callable
from typing import Literal

from fastapi import APIRouter
from fastapi.responses import PlainTextResponse
from pydantic import BaseModel
from sqlalchemy import text

from app.broker import queue_depth
from app.deps import Services, ServicesDep
from app.errors import ProblemError, not_found
from app.openapi import problems
from app.problems import NOT_FOUND, PROBLEM_TYPES, UNAVAILABLE

logger = logging.getLogger(__name__)

router = APIRouter(tags=["operation"])


State = Literal["ready", "failing"]


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
    """Tries the database, the broker and the storage, and names the state of each."""
    states = {name: _try(name, check, services) for name, check in CHECKS.items()}
    missing = [name for name, state in states.items() if state != "ready"]
    if missing:
        raise ProblemError(UNAVAILABLE, f"Not to be used now: {', '.join(missing)}.", checks=states)
    return Ready(checks=Checks(**states))


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


def _check_database(services: Services) -> None:
    with services.db.read() as session:
        session.execute(text("SELECT 1"))


def _check_broker(services: Services) -> None:
    queue_depth(services.settings)


def _check_storage(services: Services) -> None:
    with services.storage.write("health/probe") as file:
        file.write(b"ready")


CHECKS: dict[str, Callable[[Services], None]] = {
    "database": _check_database,
    "broker": _check_broker,
    "storage": _check_storage,
}


def _try(name: str, check: Callable[[Services], None], services: Services) -> State:
    try:
        check(services)
    except Exception as error:
        logger.warning("Not ready: the %s said %r", name, error)
        return "failing"
    return "ready"
