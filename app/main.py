"""The API as an ASGI application: ``uvicorn --factory app.main:create_app``."""

import re
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from fastapi import FastAPI
from fastapi.concurrency import run_in_threadpool
from fastapi_offline import FastAPIOffline

from app import __version__
from app.access.routes import router as usage
from app.body_limit import BodyLimit
from app.datasets.routes import router as datasets
from app.deps import open_services
from app.errors import answer_with_problems
from app.evaluations.routes import router as evaluations
from app.health.routes import router as health
from app.observability.logs import set_up_logging
from app.observability.requests import Observed
from app.observability.tracing import start_tracing, stop_tracing, telemetry
from app.openapi import describe
from app.registry.routes import router as registry
from app.settings import LogFormat, Settings, get_settings
from app.training.routes import router as training
from app.uploads.parts_routes import router as uploads_by_parts
from app.uploads.routes import router as uploads
from app.web.routes import router as web

DESCRIPTION = """
Order labelled retinal images: pairs of a vessel map (the label) and the fundus photograph that
shows exactly those vessels. Watch the job, look at its first pictures while it runs, download one
zip that a training script reads as it is.

Errors are `application/problem+json` (RFC 9457) throughout. Each answer has an `X-Request-ID`, the
request's own if it came with one: who runs the service finds by it what became of the request.
"""

TAGS = [
    {"name": "datasets", "description": "Order, watch, look at, download, cancel, delete."},
    {"name": "uploads", "description": "Bring vessel maps, or real pairs, of your own."},
    {"name": "training", "description": "Train a model on pairs of your own, and watch it learn."},
    {
        "name": "evaluations",
        "description": "See whether generated pairs are real, useful and private enough.",
    },
    {
        "name": "models",
        "description": "The models that orders can name: list, compare, import, export.",
    },
    {"name": "usage", "description": "What the owner of the API key has used."},
    {"name": "operation", "description": "For those who run the service."},
]


def create_app(settings: Settings | None = None) -> FastAPI:
    """The application. Its parts are opened when it starts."""
    settings = settings or get_settings()
    if settings.log_format is LogFormat.JSON:  # in text, uvicorn has set up its own
        set_up_logging(settings)
    start_tracing(settings, "fundusmith-api")

    @asynccontextmanager
    async def lifespan(app: FastAPI) -> AsyncIterator[None]:
        app.state.services = await run_in_threadpool(open_services, settings)
        yield
        app.state.services.db.close()
        await run_in_threadpool(stop_tracing)

    # FastAPI, with the files of /docs from a package: its own page fetches them from elsewhere.
    app = FastAPIOffline(
        title="Fundusmith",
        summary="Labelled retinal data sets, made to order",
        description=DESCRIPTION.strip(),
        version=__version__,
        openapi_tags=TAGS,
        lifespan=lifespan,
        generate_unique_id_function=lambda route: route.name,
        redoc_url=None,
        telemetry=telemetry(),
        favicon_url="/web/icon.svg",
        swagger_ui_parameters={"validatorUrl": None},  # another address that would be called
    )
    # Bodies that are taken piece by piece, with limits of their own.
    streamed = re.compile(rf"{uploads.prefix}(/[^/]+/parts/\d+)?|{registry.prefix}")
    app.add_middleware(BodyLimit, streamed=streamed)
    app.add_middleware(Observed)  # around all others
    answer_with_problems(app)
    describe(app, settings)
    for router in (
        datasets,
        uploads,
        uploads_by_parts,
        training,
        evaluations,
        usage,
        registry,
        health,
        web,
    ):
        app.include_router(router)
    return app
