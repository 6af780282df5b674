"""What callers do with models; what cannot be done is a problem."""

from typing import IO

from fastapi import Request
from fastapi.concurrency import run_in_threadpool
from sqlalchemy.dialects import postgresql, sqlite

from app.access.caller import Caller
from app.deps import Services
from app.errors import FieldError, ProblemError, invalid_parameter, not_found
from app.problems import CONFLICT, INVALID_REQUEST
from app.registry import stored
from app.registry.manifest import PackageFault
from app.registry.schemas import Comparison, Model, ModelList
from app.registry.service import RegisteredModel, UnknownModelError
from app.registry.stored import VersionTakenError
from app.registry.tables import DefaultModel
from app.registry.views import compare, find_default, show
from app.streamed_body import stream_body

LARGEST_PACKAGE = 1 << 30  # bytes of a zip that is imported


def list_models(services: Services, caller: Caller) -> ModelList:
    """Every model that the caller may see."""
    with services.db.read() as session:
        models = services.registry.models(session, caller)
        default = find_default(services.registry, session, caller)
    return ModelList(data=[show(model, default) for model in models])


def find_model(services: Services, caller: Caller, reference: str) -> RegisteredModel:
    """The model that ``name`` or ``name@version`` means.

    Raises:
        ProblemError: there is none that the caller may see.
    """
    try:
        with services.db.read() as session:
            return services.registry.find(session, caller, reference)
    except UnknownModelError:
        raise not_found(f"model {reference!r}") from None


def show_model(services: Services, caller: Caller, model: RegisteredModel) -> Model:
    """The model as it is shown to the caller."""
    with services.db.read() as session:
        return show(model, find_default(services.registry, session, caller))


def compare_models(
    services: Services, caller: Caller, reference: str, others: list[str]
) -> Comparison:
    """The model and the others side by side.

    Raises:
        ProblemError: one of them is none that the caller may see.
    """
    models = [find_model(services, caller, reference)]
    with services.db.read() as session:
        try:
            models += [services.registry.find(session, caller, other) for other in others]
        except UnknownModelError as error:
            raise invalid_parameter("with", str(error)) from None
        default = find_default(services.registry, session, caller)
    return compare([show(model, default) for model in models])


def read_file(services: Services, caller: Caller, reference: str, name: str) -> bytes:
    """A file of the model's package.

    Raises:
        ProblemError: there is no such model, or its package has no such file.
    """
    model = find_model(services, caller, reference)
    if not model.has(name):
        raise not_found(f"{name} in the package of {reference!r}")
    return model.read(services.storage, name)


async def take_package(
    services: Services, caller: Caller, request: Request, file: IO[bytes]
) -> RegisteredModel:
    """Write the body to the file as it comes, then add it as a model of the caller's.

    A thread is used only while a piece is written.

    Raises:
        ProblemError: the body is too long, or does not go on, or is not a package to be used.
        starlette.requests.ClientDisconnect: it broke off.
    """
    async for piece in stream_body(request, LARGEST_PACKAGE):
        await run_in_threadpool(file.write, piece)
    return await run_in_threadpool(_add, services, caller, file)


def _add(services: Services, caller: Caller, file: IO[bytes]) -> RegisteredModel:
    parts = services.db, services.storage, services.registry
    try:
        return stored.add_package(*parts, file, caller.owner, services.clock)
    except VersionTakenError as error:
        raise ProblemError(CONFLICT, str(error)) from None
    except PackageFault as fault:
        raise ProblemError(
            INVALID_REQUEST,
            str(fault),
            errors=[FieldError(detail=str(fault))],
            code=fault.code,
            file=fault.file,
            field=fault.field,
        ) from None


def choose_default(services: Services, caller: Caller, reference: str) -> RegisteredModel:
    """Make the model that of the caller's orders which name none.

    Raises:
        ProblemError: there is no such model.
    """
    model = find_model(services, caller, reference)
    with services.db.write() as session:
        dialect = postgresql if session.get_bind().dialect.name == "postgresql" else sqlite
        session.execute(
            dialect.insert(DefaultModel)
            .values(owner=caller.owner, model=model.id)
            .on_conflict_do_update(index_elements=["owner"], set_={"model": model.id})
        )
    return model


def delete_model(services: Services, caller: Caller, model_id: str) -> None:
    """Delete the model; one that is deleted already stays so.

    Raises:
        ProblemError: there never was such a model, or it is in use, or shipped.
    """
    with services.db.read() as session:
        model = services.registry.get(session, model_id)
    if model is None or not (model.shipped or caller.may_see(model.owner)):
        raise not_found(f"model {model_id!r}")
    if model.shipped:
        raise ProblemError(CONFLICT, f"{model_id} came with the service and cannot be deleted.")
    if not stored.delete_model(services.db, model, services.clock):
        raise ProblemError(CONFLICT, f"A job that has not ended needs {model_id}.")
