"""GET /models and what belongs to one model."""

from pathlib import Path
from typing import Annotated

from fastapi import APIRouter, Response
from fastapi import Path as PathParameter

from app.deps import ServicesDep
from app.errors import not_found
from app.openapi import problems
from app.problems import NOT_FOUND
from app.registry.schemas import Model, ModelLinks, ModelList
from app.registry.service import CARD, SAMPLES, RegisteredModel, Registry, UnknownModelError

router = APIRouter(prefix="/models", tags=["models"])

Reference = Annotated[
    str,
    PathParameter(
        description="name@version, or a name alone for its highest version.",
        examples=["chase-256@1.0.0"],
    ),
]


@router.get("", summary="List the models")
def list_models(services: ServicesDep) -> ModelList:
    """Every model that an order can name."""
    registry = services.registry
    return ModelList(data=[_describe(registry, model) for model in registry.models()])


@router.get("/{model}", summary="Show a model", responses=problems(NOT_FOUND))
def get_model(services: ServicesDep, model: Reference) -> Model:
    """What the model can make, what it was trained on, how good it is and what a pair costs."""
    return _describe(services.registry, _find(services.registry, model))


@router.get(
    "/{model}/card",
    summary="Read a model's card",
    response_class=Response,
    responses=problems(NOT_FOUND) | {200: {"content": {"text/markdown": {}}}},
)
def get_model_card(services: ServicesDep, model: Reference) -> Response:
    """The model card, in Markdown: intended use, training, limits."""
    return Response(_file(services.registry, model, CARD).read_bytes(), media_type="text/markdown")


@router.get(
    "/{model}/samples",
    summary="See what a model makes",
    response_class=Response,
    responses=problems(NOT_FOUND) | {200: {"content": {"image/png": {}}}},
)
def get_model_samples(services: ServicesDep, model: Reference) -> Response:
    """A sheet of sample pictures, PNG."""
    return Response(_file(services.registry, model, SAMPLES).read_bytes(), media_type="image/png")


def _find(registry: Registry, reference: str) -> RegisteredModel:
    try:
        return registry.find(reference)
    except UnknownModelError:
        raise not_found(f"model {reference!r}") from None


def _file(registry: Registry, reference: str, name: str) -> Path:
    file = _find(registry, reference).file(name)
    if file is None:
        raise not_found(f"{name} in the package of {reference!r}")
    return file


def _describe(registry: Registry, model: RegisteredModel) -> Model:
    home = f"/models/{model.id}"
    try:
        default = registry.default() == model
    except UnknownModelError:
        default = False
    return Model(
        **model.manifest.model_dump(exclude={"format", "files", "sampling"}),
        eyes=model.manifest.sampling.eye is not None,
        id=model.id,
        default=default,
        digest=model.digest,
        links=ModelLinks(
            self=home,
            card=f"{home}/card" if model.file(CARD) else None,
            samples=f"{home}/samples" if model.file(SAMPLES) else None,
        ),
    )
