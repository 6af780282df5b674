"""GET /models and what belongs to one model."""

from typing import Annotated

from fastapi import APIRouter, Response
from fastapi import Path as PathParameter

from app.access.caller import Caller, Reader
from app.deps import Services, ServicesDep
from app.errors import not_found
from app.openapi import problems
from app.problems import INSUFFICIENT_SCOPE, NOT_FOUND, UNAUTHENTICATED, UNAVAILABLE
from app.registry.schemas import Model, ModelList
from app.registry.service import CARD, SAMPLES, RegisteredModel, UnknownModelError
from app.registry.views import find_default, show

router = APIRouter(
    prefix="/models",
    tags=["models"],
    responses=problems(UNAUTHENTICATED, INSUFFICIENT_SCOPE, UNAVAILABLE),
)

Reference = Annotated[
    str,
    PathParameter(
        description="name@version, or a name alone for its highest version.",
        examples=["chase-256@1.0.0"],
    ),
]


@router.get("", summary="List the models")
def list_models(services: ServicesDep, caller: Reader) -> ModelList:
    """Every model that an order of yours can name."""
    with services.db.read() as session:
        models = services.registry.models(session, caller)
        default = find_default(services.registry, session, caller)
    return ModelList(data=[show(model, default) for model in models])


@router.get("/{model}", summary="Show a model", responses=problems(NOT_FOUND))
def get_model(services: ServicesDep, caller: Reader, model: Reference) -> Model:
    """What the model can make, what it was trained on, how good it is and what a pair costs."""
    found = _find(services, caller, model)
    with services.db.read() as session:
        return show(found, find_default(services.registry, session, caller))


@router.get(
    "/{model}/card",
    summary="Read a model's card",
    response_class=Response,
    responses=problems(NOT_FOUND) | {200: {"content": {"text/markdown": {}}}},
)
def get_model_card(services: ServicesDep, caller: Reader, model: Reference) -> Response:
    """The model card, in Markdown: intended use, training, limits."""
    return Response(_file(services, caller, model, CARD), media_type="text/markdown")


@router.get(
    "/{model}/samples",
    summary="See what a model makes",
    response_class=Response,
    responses=problems(NOT_FOUND) | {200: {"content": {"image/png": {}}}},
)
def get_model_samples(services: ServicesDep, caller: Reader, model: Reference) -> Response:
    """A sheet of sample pictures, PNG."""
    return Response(_file(services, caller, model, SAMPLES), media_type="image/png")


def _find(services: Services, caller: Caller, reference: str) -> RegisteredModel:
    try:
        with services.db.read() as session:
            return services.registry.find(session, caller, reference)
    except UnknownModelError:
        raise not_found(f"model {reference!r}") from None


def _file(services: Services, caller: Caller, reference: str, name: str) -> bytes:
    model = _find(services, caller, reference)
    if not model.has(name):
        raise not_found(f"{name} in the package of {reference!r}")
    return model.read(services.storage, name)
