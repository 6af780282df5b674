"""The HTTP interface to uploads."""

from typing import Annotated

from fastapi import APIRouter, Path, Query, Request, Response
from fastapi.concurrency import run_in_threadpool
from starlette.requests import ClientDisconnect

from app.access.caller import Reader, Writer
from app.access.jobs import delete_job, list_jobs
from app.access.limits import count_request
from app.deps import ServicesDep, require_zip
from app.jobs.tables import JobKind
from app.openapi import Responses, header, problems
from app.pages import FIRST_PAGE, After, Limit, StatusFilter
from app.problems import (
    CONFLICT,
    EXPIRED,
    INSUFFICIENT_SCOPE,
    INVALID_REQUEST,
    LIMIT_EXCEEDED,
    NOT_FOUND,
    NOT_READY,
    REQUEST_TIMEOUT,
    TOO_LARGE,
    UNAUTHENTICATED,
    UNAVAILABLE,
    UNSUPPORTED_MEDIA_TYPE,
)
from app.streamed_body import announced_length, stream_body
from app.uploads import service
from app.uploads.answers import WATCH_HEADERS, UploadId, answer, look
from app.uploads.pictures import Which
from app.uploads.schemas import (
    IGNORE_VALUE,
    UNLABELLED,
    VESSEL_VALUES,
    Colour,
    Contents,
    Level,
    Upload,
    UploadList,
)
from app.uploads.views import summary

MOST_BYTES_AT_ONCE = 2 << 30  # of a zip that is sent as one body
FOR_EVER = "private, max-age=31536000, immutable"

router = APIRouter(
    prefix="/uploads",
    tags=["uploads"],
    responses=problems(UNAUTHENTICATED, INSUFFICIENT_SCOPE, UNAVAILABLE),
)

PNG: Responses = {
    200: {
        "content": {"image/png": {}},
        "headers": {"Cache-Control": header("How long the picture may be kept.")},
    }
}
ZIP = {
    "required": True,
    "description": "The zip itself, not a form.",
    "content": {"application/zip": {"schema": {"type": "string", "format": "binary"}}},
}


@router.post(
    "",
    status_code=202,
    response_model=Upload,
    summary="Upload maps or pairs",
    responses=problems(
        REQUEST_TIMEOUT, TOO_LARGE, UNSUPPORTED_MEDIA_TYPE, INVALID_REQUEST, LIMIT_EXCEEDED
    )
    | {
        202: {
            "description": "Taken, and to be checked",
            "headers": {"Location": header("The upload."), **WATCH_HEADERS},
        },
    },
    openapi_extra={"requestBody": ZIP},
)
async def create_upload(
    services: ServicesDep,
    caller: Writer,
    request: Request,
    kind: Annotated[
        Contents,
        Query(description="Bare label maps, to be rendered; or photographs with their label maps."),
    ],
    unlabelled: Annotated[bool | None, Query(description=UNLABELLED)] = None,
    vessel_values: Annotated[
        list[Level | Colour] | None, Query(max_length=16, description=VESSEL_VALUES)
    ] = None,
    ignore_value: Annotated[Level | Colour | None, Query(description=IGNORE_VALUE)] = None,
) -> Response:
    """Send a zip of `maps` or `pairs`, as the body. It is stored as it comes, and then checked.

    A long one is better begun with `POST /multipart-uploads`: parts go straight to the file store, and an
    upload that was interrupted goes on.

    The answer's `Location` is the upload to watch: it tells file by file what was found, what was
    changed, and what is wrong.
    """
    require_zip(request)
    await run_in_threadpool(count_request, services, caller)
    body = stream_body(request, MOST_BYTES_AT_ONCE)
    length = announced_length(request)
    try:
        wanted = {
            "kind": kind,
            "unlabelled": unlabelled,
            "vessel_values": vessel_values,
            "ignore_value": ignore_value,
        }
        upload_id = await service.take_upload(services, caller, wanted, length, body)
    except ClientDisconnect:
        return Response(status_code=400)  # nobody is there to read it
    upload = await run_in_threadpool(look, services, caller, upload_id)
    return answer(upload, 202, {"Location": upload.links.self})


@router.get("", summary="List uploads", responses=problems(INVALID_REQUEST))
def list_uploads(
    services: ServicesDep,
    caller: Reader,
    status: StatusFilter = None,
    after: After = None,
    limit: Limit = FIRST_PAGE,
) -> UploadList:
    """Your uploads, the newest first, without their reports."""
    with services.db.read() as session:
        jobs, has_more = list_jobs(session, JobKind.UPLOAD, caller, status, after, limit)
    return UploadList(data=[summary(job) for job in jobs], has_more=has_more)


@router.get(
    "/{upload_id}",
    response_model=Upload,
    summary="Watch an upload",
    responses=problems(NOT_FOUND, INVALID_REQUEST) | {200: {"headers": WATCH_HEADERS}},
)
def get_upload(services: ServicesDep, caller: Reader, upload_id: UploadId) -> Response:
    """The state of the check and, when it has ended, its report."""
    return answer(look(services, caller, upload_id), 200)


@router.get(
    "/{upload_id}/pictures/{number}/{picture}",
    summary="See one picture of an upload",
    response_class=Response,
    responses=problems(NOT_FOUND, NOT_READY, EXPIRED, INVALID_REQUEST) | PNG,
)
def get_upload_picture(
    services: ServicesDep,
    caller: Reader,
    upload_id: UploadId,
    number: Annotated[int, Path(ge=0, description="Number of the map or pair, from 0.")],
    picture: Annotated[Which, Path(description="Which picture of it; maps have no image.")],
) -> Response:
    """The photograph, the label map or the field-of-view mask, as it is used."""
    png = service.picture_of(services, caller, upload_id, number, picture)
    return Response(png, media_type="image/png", headers={"Cache-Control": FOR_EVER})


@router.delete(
    "/{upload_id}",
    status_code=204,
    summary="Delete an upload",
    responses=problems(NOT_FOUND, CONFLICT, INVALID_REQUEST),
)
def delete_upload(services: ServicesDep, caller: Writer, upload_id: UploadId) -> None:
    """Remove the upload and its pictures or parts; a check that has not ended is given up.

    Not while a job that has not ended needs it.
    """
    delete_job(services, JobKind.UPLOAD, upload_id, caller)
