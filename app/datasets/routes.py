"""The HTTP interface to data sets."""

from collections.abc import AsyncIterator
from functools import partial
from typing import Annotated

from fastapi import APIRouter, Depends, Header, Path, Query, Request, Response
from fastapi.responses import JSONResponse
from fastapi.sse import EventSourceResponse, ServerSentEvent

from app.access.caller import Caller, Reader, Writer
from app.access.idempotency import IdempotencyKey
from app.access.jobs import cancel_job, delete_job, list_jobs, refuse_expired
from app.access.limits import count_request
from app.archive.formats import IMAGE_FORMATS, PNG
from app.archive.layout import ImageRole, of_volume
from app.datasets import pairs, pictures, service
from app.datasets.schemas import Dataset, DatasetList, DatasetOrder, PairList, Quote
from app.datasets.views import show
from app.deps import Services, ServicesDep, require_json
from app.download import DOWNLOAD_CONDITIONS, send_object, zip_responses
from app.errors import expired
from app.jobs.tables import JobKind, JobStatus
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
    RANGE_NOT_SATISFIABLE,
    TOO_LARGE,
    UNAUTHENTICATED,
    UNAVAILABLE,
    UNSUPPORTED_MEDIA_TYPE,
)
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

FOR_EVER = "private, max-age=31536000, immutable"

router = APIRouter(
    prefix="/datasets",
    tags=["datasets"],
    responses=problems(UNAUTHENTICATED, INSUFFICIENT_SCOPE, UNAVAILABLE),
)

DatasetId = Annotated[str, Path(pattern=ID, description="The id that the order was answered with.")]
CACHING = {"Cache-Control": header("How long the picture may be kept.")}
PICTURE: Responses = {
    200: {"content": {kind.media_type: {} for kind in IMAGE_FORMATS.values()}, "headers": CACHING}
}
SHEET: Responses = {200: {"content": {PNG.media_type: {}}, "headers": CACHING}}


@router.post(
    "",
    status_code=202,
    response_model=Dataset,
    summary="Order a data set",
    dependencies=[Depends(require_json)],
    responses=problems(
        MALFORMED_REQUEST,
        CONFLICT,
        TOO_LARGE,
        UNSUPPORTED_MEDIA_TYPE,
        INVALID_REQUEST,
        LIMIT_EXCEEDED,
    )
    | {
        200: {"model": Quote, "description": "The quote, for dry_run=true"},
        202: {
            "description": "Ordered",
            "headers": {
                "Location": header("The data set."),
                **WATCH_HEADERS,
            },
        },
    },
)
def create_dataset(
    services: ServicesDep,
    caller: Writer,
    order: DatasetOrder,
    dry_run: Annotated[
        bool, Query(description="Check the order and quote its cost, but order nothing.")
    ] = False,
    idempotency_key: Annotated[
        IdempotencyKey | None,
        Header(
            description="A key of your own for this order, such as a UUID. Sent again with the same "
            "order, it is answered with the data set of the first; keys are remembered for ever."
        ),
    ] = None,
) -> Response:
    """Order `count` pairs, each a vessel map and the fundus photograph that shows its vessels.

    The order is checked in full before it is accepted. The answer's `Location` is the data set to
    watch; look again after `Retry-After` seconds.
    """
    count_request(services, caller)
    if dry_run:
        quote = service.quote(services, caller, order)
        return JSONResponse(quote.model_dump(mode="json"))
    dataset = _show(services, caller, service.place_order(services, caller, order, idempotency_key))
    return answer(dataset, 202, {"Location": dataset.links.self})


@router.get(
    "",
    summary="List data sets",
    responses=problems(INVALID_REQUEST),
)
def list_datasets(
    services: ServicesDep,
    caller: Reader,
    status: StatusFilter = None,
    after: After = None,
    limit: Limit = FIRST_PAGE,
) -> DatasetList:
    """Your data sets, the newest first."""
    with services.db.read() as session:
        jobs, has_more = list_jobs(session, JobKind.DATASET, caller, status, after, limit)
        return DatasetList(data=show(session, services.registry, jobs), has_more=has_more)


@router.get(
    "/{dataset_id}",
    response_model=Dataset,
    summary="Watch a data set",
    responses=problems(NOT_FOUND, INVALID_REQUEST)
    | {
        200: {"headers": WATCH_HEADERS},
        304: {"description": "Not changed since the ETag sent", "headers": WATCH_HEADERS},
    },
)
def get_dataset(
    services: ServicesDep,
    caller: Reader,
    dataset_id: DatasetId,
    if_none_match: IfNoneMatch = None,
) -> Response:
    """The state of the job, its progress, and what will become of it."""
    return answer(_show(services, caller, dataset_id), 200, if_none_match=if_none_match)


async def _open_stream(
    services: ServicesDep,
    caller: Reader,
    dataset_id: DatasetId,
    response: Response,
    last_event_id: LastEventId = None,
) -> AsyncIterator[Stream]:
    look = partial(_look_at, services, caller, dataset_id)
    async with open_stream(services.streams, response, look, last_event_id) as stream:
        yield stream


@router.get(
    "/{dataset_id}/events",
    summary="Follow a data set",
    response_class=EventSourceResponse,
    responses=problems(NOT_FOUND, EXPIRED, INVALID_REQUEST, UNAVAILABLE)
    | {
        200: {"description": "Events, until the job has ended"},
        204: {"description": "The job has ended, and Last-Event-ID names its last event"},
    },
)
async def follow_dataset(
    services: ServicesDep,
    stream: Annotated[Stream, Depends(_open_stream)],
    last_event_id: LastEventId = None,
) -> AsyncIterator[ServerSentEvent]:
    """Server-sent events: the job as `GET /datasets/{id}` shows it, now and after each change.

    At most two a second; the last one shows how the job ended. An event's `id` is the `ETag` of that
    answer, which stays authoritative: events that were missed need not be had.
    """
    async for event in follow(services.streams, stream, last_event_id):
        yield event


@router.get(
    "/{dataset_id}/download",
    summary="Download the archive",
    response_class=Response,
    responses=problems(NOT_FOUND, NOT_READY, EXPIRED, RANGE_NOT_SATISFIABLE, INVALID_REQUEST)
    | zip_responses("archive"),
    openapi_extra={"parameters": DOWNLOAD_CONDITIONS},
)
@router.head("/{dataset_id}/download", include_in_schema=False)
def download_dataset(
    services: ServicesDep,
    caller: Reader,
    request: Request,
    dataset_id: DatasetId,
    volume: Annotated[
        int | None,
        Query(ge=1, description="Number of the volume; needed only if there are several."),
    ] = None,
) -> Response:
    """The zip, once the job has succeeded; of a cancelled one, what was finished by then.

    A very large order comes in several volumes; the job's `archive` lists them. The `ETag` is the
    SHA-256 of the manifest. Storage that has a server of its own is linked to for an hour; otherwise
    `Range` is honoured here.
    """
    with services.db.read() as session:
        job = service.find_dataset(session, dataset_id, caller)
    refuse_expired(job)
    found = service.find_volume(job, volume)
    return send_object(
        request,
        services.storage,
        found["key"],
        etag=f'"{found["manifest_sha256"]}"',
        filename=of_volume(f"{job.id}.zip", job.plan.number_of(found["number"])),
        media_type="application/zip",
    )


@router.get(
    "/{dataset_id}/pairs",
    summary="List the finished pairs",
    responses=problems(NOT_FOUND, EXPIRED, INVALID_REQUEST),
)
def list_pairs(
    services: ServicesDep,
    caller: Reader,
    dataset_id: DatasetId,
    first: Annotated[int, Query(ge=0, description="Index of the first pair asked for.")] = 0,
    limit: Annotated[
        int,
        Query(ge=1, description=f"Pairs asked for; more than {pairs.MOST_PAIRS} is reduced."),
    ] = FIRST_PAGE,
) -> PairList:
    """Seed, split, measured values and pictures of each; there while the job still runs."""
    limit = min(limit, pairs.MOST_PAIRS)
    return pairs.list_pairs(services, caller, dataset_id, first, limit)


@router.get(
    "/{dataset_id}/pairs/{index}/{picture}",
    summary="See one picture",
    response_class=Response,
    responses=problems(NOT_FOUND, NOT_READY, EXPIRED, INVALID_REQUEST) | PICTURE,
)
def get_picture(
    services: ServicesDep,
    caller: Reader,
    dataset_id: DatasetId,
    index: Annotated[int, Path(ge=0, description="Number of the pair, from 0.")],
    picture: Annotated[ImageRole, Path(description="Which picture of the pair.")],
) -> Response:
    """The photograph, its label or one of its masks, as soon as the pair's shard is done.

    The photograph is in the order's format; label and masks are PNG. `disc` and `lesions` exist only if
    the order asks for these masks.
    """
    data, media_type = pictures.read_picture(services, caller, dataset_id, index, picture)
    return Response(data, media_type=media_type, headers={"Cache-Control": FOR_EVER})


@router.get(
    "/{dataset_id}/preview",
    summary="See a contact sheet",
    response_class=Response,
    responses=problems(NOT_FOUND, NOT_READY, EXPIRED, INVALID_REQUEST, LIMIT_EXCEEDED) | SHEET,
)
def get_preview(services: ServicesDep, caller: Reader, dataset_id: DatasetId) -> Response:
    """Up to 16 pairs, photograph and label side by side; there while the job still runs."""
    count_request(services, caller)
    png = pictures.draw_preview(services, caller, dataset_id)
    return Response(png, media_type=PNG.media_type, headers={"Cache-Control": "no-cache"})


@router.post(
    "/{dataset_id}/cancel",
    response_model=Dataset,
    summary="Cancel a data set",
    responses=problems(NOT_FOUND, INVALID_REQUEST) | {200: {"headers": WATCH_HEADERS}},
)
def cancel_dataset(services: ServicesDep, caller: Writer, dataset_id: DatasetId) -> Response:
    """Stop the job; what is being made is given up within seconds.

    In a state that cannot be cancelled, nothing changes and the answer is the same.
    """
    cancel_job(services, JobKind.DATASET, dataset_id, caller)
    return answer(_show(services, caller, dataset_id), 200)


@router.delete(
    "/{dataset_id}",
    status_code=204,
    summary="Delete a data set",
    responses=problems(NOT_FOUND, CONFLICT, INVALID_REQUEST),
)
def delete_dataset(services: ServicesDep, caller: Writer, dataset_id: DatasetId) -> None:
    """Remove the data set and its files; a job that has not ended is cancelled.

    Not while an evaluation looks at it.
    """
    delete_job(services, JobKind.DATASET, dataset_id, caller)


def _show(services: Services, caller: Caller, dataset_id: str) -> Dataset:
    with services.db.read() as session:
        job = service.find_dataset(session, dataset_id, caller)
        return show(session, services.registry, [job])[0]


def _look_at(services: Services, caller: Caller, dataset_id: str) -> Look:
    """The job's document as it is now, for events.

    Raises:
        ProblemError: there is no such data set, or it has expired.
    """
    dataset = _show(services, caller, dataset_id)
    if dataset.status == JobStatus.EXPIRED:
        raise expired(f"data set {dataset_id}")
    return look_at(dataset)
