"""The HTTP interface to training runs."""

from collections.abc import AsyncIterator, Iterator
from functools import partial
from typing import IO, Annotated

from fastapi import APIRouter, Depends, Header, Path, Query, Response
from fastapi.responses import StreamingResponse
from fastapi.sse import EventSourceResponse, ServerSentEvent

from app.access.caller import Caller, Reader, Writer
from app.access.idempotency import IdempotencyKey
from app.access.jobs import cancel_job, delete_job, list_jobs, refuse_expired
from app.access.limits import count_request
from app.deps import Services, ServicesDep, require_json
from app.jobs.tables import JobKind
from app.openapi import Responses, header, problems
from app.pages import FIRST_PAGE, ID, After, Limit, StatusFilter
from app.problems import (
    CONFLICT,
    EXPIRED,
    INSUFFICIENT_SCOPE,
    INVALID_REQUEST,
    LIMIT_EXCEEDED,
    MALFORMED_REQUEST,
    NOT_FOUND,
    NOT_READY,
    TOO_LARGE,
    UNAUTHENTICATED,
    UNAVAILABLE,
    UNSUPPORTED_MEDIA_TYPE,
)
from app.training import results, service
from app.training.schemas import (
    Metrics,
    ResumeOrder,
    SampleList,
    Stage,
    TrainingOrder,
    TrainingRun,
    TrainingRunList,
)
from app.training.views import show
from app.watching import (
    WATCH_HEADERS,
    IfNoneMatch,
    LastEventId,
    Look,
    Stream,
    answer,
    follow,
    look_at,
    open_stream,
)

MOST_LINES = 10_000
CHUNK = 1 << 20  # bytes
FOR_EVER = "private, max-age=31536000, immutable"

router = APIRouter(
    prefix="/training-runs",
    tags=["training"],
    responses=problems(UNAUTHENTICATED, INSUFFICIENT_SCOPE, UNAVAILABLE),
)

RunId = Annotated[str, Path(pattern=ID, description="The id that the order was answered with.")]
PNG: Responses = {
    200: {
        "content": {"image/png": {}},
        "headers": {"Cache-Control": header("How long the sheet may be kept.")},
    }
}
ZIP: Responses = {200: {"content": {"application/zip": {}}, "description": "The event files"}}
BODY = (MALFORMED_REQUEST, TOO_LARGE, UNSUPPORTED_MEDIA_TYPE, INVALID_REQUEST, LIMIT_EXCEEDED)


@router.post(
    "",
    status_code=202,
    response_model=TrainingRun,
    summary="Train a model",
    dependencies=[Depends(require_json)],
    responses=problems(*BODY, CONFLICT)
    | {
        202: {
            "description": "Ordered",
            "headers": {"Location": header("The training run."), **WATCH_HEADERS},
        },
    },
)
def create_training_run(
    services: ServicesDep,
    caller: Writer,
    order: TrainingOrder,
    idempotency_key: Annotated[
        IdempotencyKey | None,
        Header(
            description="A key of your own for this order, such as a UUID. Sent again with the same "
            "order, it is answered with the run of the first; keys are remembered for ever."
        ),
    ] = None,
) -> Response:
    """Train a model on an upload of pairs; it becomes a version that orders can name.

    Runs are worked on one after another, in slices of some minutes. The answer's `Location` is the
    run to watch.
    """
    count_request(services, caller)
    run_id = service.place_order(services, caller, order, idempotency_key)
    run = _show(services, caller, run_id)
    return answer(run, 202, {"Location": run.links.self})


@router.get("", summary="List training runs", responses=problems(INVALID_REQUEST))
def list_training_runs(
    services: ServicesDep,
    caller: Reader,
    status: StatusFilter = None,
    after: After = None,
    limit: Limit = FIRST_PAGE,
) -> TrainingRunList:
    """Your training runs, the newest first."""
    with services.db.read() as session:
        jobs, has_more = list_jobs(session, JobKind.TRAINING, caller, status, after, limit)
        return TrainingRunList(data=show(session, jobs), has_more=has_more)


@router.get(
    "/{run_id}",
    response_model=TrainingRun,
    summary="Watch a training run",
    responses=problems(NOT_FOUND, INVALID_REQUEST)
    | {
        200: {"headers": WATCH_HEADERS},
        304: {"description": "Not changed since the ETag sent", "headers": WATCH_HEADERS},
    },
)
def get_training_run(
    services: ServicesDep, caller: Reader, run_id: RunId, if_none_match: IfNoneMatch = None
) -> Response:
    """The state of the run, how far it is, and what its networks' losses are."""
    return answer(_show(services, caller, run_id), 200, if_none_match=if_none_match)


async def _open_stream(
    services: ServicesDep,
    caller: Reader,
    run_id: RunId,
    response: Response,
    last_event_id: LastEventId = None,
) -> AsyncIterator[Stream]:
    look = partial(_look_at, services, caller, run_id)
    async with open_stream(services.streams, response, look, last_event_id) as stream:
        yield stream


@router.get(
    "/{run_id}/events",
    summary="Follow a training run",
    response_class=EventSourceResponse,
    responses=problems(NOT_FOUND, EXPIRED, INVALID_REQUEST, UNAVAILABLE)
    | {
        200: {"description": "Events, until the run has ended"},
        204: {"description": "The run has ended, and Last-Event-ID names its last event"},
    },
)
async def follow_training_run(
    services: ServicesDep,
    stream: Annotated[Stream, Depends(_open_stream)],
    last_event_id: LastEventId = None,
) -> AsyncIterator[ServerSentEvent]:
    """Server-sent events: the run as `GET /training-runs/{id}` shows it, now and after each change.

    At most two a second; the last one shows how the run ended. An event's `id` is the `ETag` of that
    answer, which stays authoritative.
    """
    async for event in follow(services.streams, stream, last_event_id):
        yield event


@router.get(
    "/{run_id}/metrics",
    summary="Read the metrics of a stage",
    responses=problems(NOT_FOUND, EXPIRED, INVALID_REQUEST),
)
def get_training_metrics(
    services: ServicesDep,
    caller: Reader,
    run_id: RunId,
    stage: Annotated[Stage, Query(description="Of which stage.")],
    after: Annotated[
        int, Query(ge=0, description="Only what came after so many images of the stage.")
    ] = 0,
    limit: Annotated[
        int, Query(ge=1, description=f"Lines at most; more than {MOST_LINES} is reduced.")
    ] = 1000,
) -> Metrics:
    """Losses, overfitting signal, augmentation strength, pace: a line for some seconds each.

    Those of the slice in hand follow when it is done; its last ones are in the run itself.
    """
    return results.read_metrics(services, caller, run_id, stage, after, min(limit, MOST_LINES))


@router.get(
    "/{run_id}/samples",
    summary="List the sheets of samples",
    responses=problems(NOT_FOUND, EXPIRED, INVALID_REQUEST),
)
def list_training_samples(services: ServicesDep, caller: Reader, run_id: RunId) -> SampleList:
    """What the stage in training drew at intervals, from the same noise each time."""
    return results.list_samples(services, caller, run_id)


@router.get(
    "/{run_id}/samples/{number}",
    summary="See one sheet of samples",
    response_class=Response,
    responses=problems(NOT_FOUND, EXPIRED, INVALID_REQUEST) | PNG,
)
def get_training_sample(
    services: ServicesDep,
    caller: Reader,
    run_id: RunId,
    number: Annotated[int, Path(ge=0, description="Number of the sheet, from 0.")],
) -> Response:
    """Vessel maps; or for each of some maps: the map, its photograph, and drawn ones."""
    png = results.read_sample(services, caller, run_id, number)
    return Response(png, media_type="image/png", headers={"Cache-Control": FOR_EVER})


@router.get(
    "/{run_id}/tensorboard",
    summary="Download the TensorBoard files",
    response_class=Response,
    responses=problems(NOT_FOUND, NOT_READY, EXPIRED, INVALID_REQUEST) | ZIP,
)
def download_training_events(services: ServicesDep, caller: Reader, run_id: RunId) -> Response:
    """A zip of event files: unpack it, and `tensorboard --logdir` shows curves and sheets."""
    file = results.zip_events(services, caller, run_id)
    disposition = {"Content-Disposition": f'attachment; filename="{run_id}-tensorboard.zip"'}
    return StreamingResponse(_pieces(file), 200, disposition, "application/zip")


@router.post(
    "/{run_id}/cancel",
    response_model=TrainingRun,
    summary="Cancel a training run",
    responses=problems(NOT_FOUND, INVALID_REQUEST) | {200: {"headers": WATCH_HEADERS}},
)
def cancel_training_run(services: ServicesDep, caller: Writer, run_id: RunId) -> Response:
    """Stop the run within seconds; what it has learned is kept, to go on from.

    In a state that cannot be cancelled, nothing changes and the answer is the same.
    """
    cancel_job(services, JobKind.TRAINING, run_id, caller)
    return answer(_show(services, caller, run_id), 200)


@router.post(
    "/{run_id}/resume",
    response_model=TrainingRun,
    summary="Go on with a training run",
    dependencies=[Depends(require_json)],
    responses=problems(*BODY, NOT_FOUND, NOT_READY, EXPIRED) | {200: {"headers": WATCH_HEADERS}},
)
def resume_training_run(
    services: ServicesDep, caller: Writer, run_id: RunId, order: ResumeOrder
) -> Response:
    """Queue a cancelled or failed run again. It goes on from its last checkpoint.

    A run that goes on already stays as it is.
    """
    count_request(services, caller)
    service.continue_run(services, caller, run_id, order.budget)
    return answer(_show(services, caller, run_id), 200)


@router.delete(
    "/{run_id}",
    status_code=204,
    summary="Delete a training run",
    responses=problems(NOT_FOUND, INVALID_REQUEST),
)
def delete_training_run(services: ServicesDep, caller: Writer, run_id: RunId) -> None:
    """Remove the run and what it has left, but not its model; if it has not ended it is cancelled."""
    delete_job(services, JobKind.TRAINING, run_id, caller)


def _show(services: Services, caller: Caller, run_id: str) -> TrainingRun:
    with services.db.read() as session:
        job = service.find_run(session, run_id, caller)
        return show(session, [job])[0]


def _look_at(services: Services, caller: Caller, run_id: str) -> Look:
    with services.db.read() as session:
        job = service.find_run(session, run_id, caller)
        refuse_expired(job)
        (run,) = show(session, [job])
    return look_at(run)


def _pieces(file: IO[bytes]) -> Iterator[bytes]:
    with file:
        while piece := file.read(CHUNK):
            yield piece
