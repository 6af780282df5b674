"""The HTTP interface to the registry."""

from tempfile import TemporaryFile
from typing import Annotated

from fastapi import APIRouter, Path, Query, Request, Response
from fastapi.concurrency import run_in_threadpool
from starlette.requests import ClientDisconnect

from app.access.caller import Reader, Writer
from app.access.limits import count_request
from app.deps import ServicesDep, require_zip
from app.download import DOWNLOAD_CONDITIONS, send_object, zip_responses
from app.openapi import header, problems
from app.problems import (
    CONFLICT,
    INSUFFICIENT_SCOPE,
    INVALID_REQUEST,
    LIMIT_EXCEEDED,
    NOT_FOUND,
    RANGE_NOT_SATISFIABLE,
    REQUEST_TIMEOUT,
    TOO_LARGE,
    UNAUTHENTICATED,
    UNAVAILABLE,
    UNSUPPORTED_MEDIA_TYPE,
)
from app.registry import actions
from app.registry.schemas import Comparison, Model, ModelList
from app.registry.service import CARD, SAMPLES
from app.registry.stored import zip_key

LONGEST_LIST = 1000  # characters

router = APIRouter(
    prefix="/models",
    tags=["models"],
    responses=problems(UNAUTHENTICATED, INSUFFICIENT_SCOPE, UNAVAILABLE),
)

Reference = Annotated[
    str,
    Path(
        description="name@version, or a name alone for its highest version.",
        examples=["chase-256@1.0.0"],
    ),
]
ModelId = Annotated[
    str,
    Path(
        description="name@version; a name alone does not say which one to delete.",
        pattern=r"^[a-z0-9][a-z0-9-]{0,62}@[0-9.]{5,20}$",
        examples=["mine-256@1.0.0"],
    ),
]
ZIP = {
    "required": True,
    "description": "The package as a zip, package.json at its top; not a form.",
    "content": {"application/zip": {"schema": {"type": "string", "format": "binary"}}},
}


@router.get("", summary="List the models")
def list_models(services: ServicesDep, caller: Reader) -> ModelList:
    """Every model that an order of yours can name."""
    return actions.list_models(services, caller)


@router.post(
    "",
    status_code=201,
    response_model=Model,
    summary="Import a model",
    responses=problems(
        REQUEST_TIMEOUT,
        CONFLICT,
        TOO_LARGE,
        UNSUPPORTED_MEDIA_TYPE,
        INVALID_REQUEST,
        LIMIT_EXCEEDED,
    )
    | {201: {"headers": {"Location": header("The model.")}}},
    openapi_extra={"requestBody": ZIP},
)
async def import_model(services: ServicesDep, caller: Writer, request: Request) -> Response:
    """Send a package as one zip, as the body. It is yours, and can be ordered from at once.

    It is checked in full: digests, lengths, the fields of package.json, and that weights are
    safetensors. Sent again, it is answered with the model that is there.
    """
    require_zip(request)
    await run_in_threadpool(count_request, services, caller)
    try:
        with TemporaryFile() as file:
            model = await actions.take_package(services, caller, request, file)
    except ClientDisconnect:
        return Response(status_code=400)  # nobody is there to read it
    shown = await run_in_threadpool(actions.show_model, services, caller, model)
    location = {"Location": shown.links.self}
    return Response(shown.model_dump_json(), 201, location, "application/json")


@router.get("/{model}", summary="Show a model", responses=problems(NOT_FOUND))
def get_model(services: ServicesDep, caller: Reader, model: Reference) -> Model:
    """What the model can make, what it was trained on, how good it is and what a pair costs."""
    return actions.show_model(services, caller, actions.find_model(services, caller, model))


@router.get(
    "/{model}/card",
    summary="Read a model's card",
    response_class=Response,
    responses=problems(NOT_FOUND) | {200: {"content": {"text/markdown": {}}}},
)
def get_model_card(services: ServicesDep, caller: Reader, model: Reference) -> Response:
    """The model card, in Markdown: intended use, training, limits."""
    card = actions.read_file(services, caller, model, CARD)
    return Response(card, media_type="text/markdown")


@router.get(
    "/{model}/samples",
    summary="See what a model makes",
    response_class=Response,
    responses=problems(NOT_FOUND) | {200: {"content": {"image/png": {}}}},
)
def get_model_samples(services: ServicesDep, caller: Reader, model: Reference) -> Response:
    """A sheet of sample pictures, PNG."""
    sheet = actions.read_file(services, caller, model, SAMPLES)
    return Response(sheet, media_type="image/png")


@router.get(
    "/{model}/compare", summary="Compare models", responses=problems(NOT_FOUND, INVALID_REQUEST)
)
def compare_models(
    services: ServicesDep,
    caller: Reader,
    model: Reference,
    others: Annotated[
        str,
        Query(
            alias="with",
            max_length=LONGEST_LIST,
            description="The others, as name@version or a name alone, separated by commas.",
            examples=["mine-256@1.0.0,mine-256@1.0.1"],
        ),
    ],
) -> Comparison:
    """Models side by side: digests, licences, training data, and each figure of their metrics."""
    return actions.compare_models(services, caller, model, others.split(","))


@router.get(
    "/{model}/export",
    summary="Export a model",
    response_class=Response,
    responses=problems(NOT_FOUND, RANGE_NOT_SATISFIABLE) | zip_responses("package"),
    openapi_extra={"parameters": DOWNLOAD_CONDITIONS},
)
@router.head("/{model}/export", include_in_schema=False)
def export_model(
    services: ServicesDep, caller: Reader, request: Request, model: Reference
) -> Response:
    """The package as one zip, the same bytes each time, as an import takes it.

    The `ETag` is the model's digest. Storage that has a server of its own is linked to for an hour;
    otherwise `Range` is honoured here.
    """
    found = actions.find_model(services, caller, model)
    key = zip_key(services.storage, found)
    return send_object(
        request,
        services.storage,
        key,
        etag=f'"{found.digest}"',
        filename=f"{found.id}.zip",
        media_type="application/zip",
    )


@router.put("/{model}/default", summary="Make a model your default", responses=problems(NOT_FOUND))
def choose_default_model(services: ServicesDep, caller: Writer, model: Reference) -> Model:
    """Your orders that name no model get this version from now on; others' are not touched."""
    chosen = actions.choose_default(services, caller, model)
    return actions.show_model(services, caller, chosen)


@router.delete(
    "/{model}",
    status_code=204,
    summary="Delete a model",
    responses=problems(NOT_FOUND, CONFLICT, INVALID_REQUEST),
)
def delete_model(services: ServicesDep, caller: Writer, model: ModelId) -> None:
    """Remove a model that was imported or trained here. Its version is never used again."""
    actions.delete_model(services, caller, model)
