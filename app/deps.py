"""What routes need: the parts of the running service, opened once at start-up."""

from dataclasses import dataclass
from typing import Annotated

from fastapi import Depends, Request

from app.clock import Clock, utc_now
from app.database import Database, open_database
from app.errors import ProblemError
from app.health.readiness import Readiness
from app.observability.backlog import Backlog
from app.problems import UNSUPPORTED_MEDIA_TYPE
from app.registry.service import Registry
from app.settings import Settings
from app.storage import Storage, open_storage
from app.streams import EventStreams


@dataclass(frozen=True)
class Services:
    """The service's parts."""

    settings: Settings
    db: Database
    storage: Storage
    registry: Registry
    streams: EventStreams
    readiness: Readiness
    backlog: Backlog
    clock: Clock = utc_now


def open_services(settings: Settings) -> Services:
    """Open every part; the schema of a SQLite file is brought up to date.

    Raises:
        SchemaError: that of another database is not one to work on.
    """
    db = open_database(settings)
    db.prepare()
    storage = open_storage(settings)
    return Services(
        settings=settings,
        db=db,
        storage=storage,
        registry=Registry(settings.models_dir, settings.default_model),
        streams=EventStreams(),
        readiness=Readiness(settings, db, storage),
        backlog=Backlog(db),
    )


def _get_services(request: Request) -> Services:
    return request.app.state.services


def require_json(request: Request) -> None:
    """Refuse a body that does not say it is JSON, before anybody tries to read it as such."""
    _require(request, "application/json")


def require_zip(request: Request) -> None:
    """Refuse a body that does not say it is a zip."""
    _require(request, "application/zip")


def _require(request: Request, wanted: str) -> None:
    media_type = request.headers.get("content-type", "").partition(";")[0].strip().lower()
    if media_type != wanted:
        found = f"The body is of type {media_type!r}" if media_type else "The body has no type"
        raise ProblemError(UNSUPPORTED_MEDIA_TYPE, f"{found}; {wanted!r} is read here.")


ServicesDep = Annotated[Services, Depends(_get_services)]
