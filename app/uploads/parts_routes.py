"""The HTTP interface to uploads by parts."""

from typing import Annotated

from fastapi import APIRouter, Depends, Header, Path, Query, Request, Response
from starlette.requests import ClientDisconnect

from app.access.caller import Reader, Writer
from app.access.idempotency import IdempotencyKey
from app.access.limits import count_request
from app.deps import ServicesDep, require_json
from app.openapi import header, problems
from app.problems import (
    CONFLICT,
    EXPIRED,
    INSUFFICIENT_SCOPE,
    INVALID_REQUEST,
    LIMIT_EXCEEDED,
    MALFORMED_REQUEST,
    NOT_FOUND,
    NOT_READY,
    PARTS_MISSING,
    REQUEST_TIMEOUT,
    TOO_LARGE,
    UNAUTHENTICATED,
    UNAVAILABLE,
    UNSUPPORTED_MEDIA_TYPE,
)
from app.storage import MOST_PARTS
from app.streamed_body import stream_body
from app.uploads import parts
from app.uploads.answers import WATCH_HEADERS, UploadId, answer, look
from app.uploads.schemas import PartLinks, PartList, PartNumbers, PartsOrder, Upload

LONGEST_PAGE = 1_000  # parts

# The path that begins one lies beside /uploads, where every name is an upload's id.
router = APIRouter(
    tags=["uploads"],
    responses=problems(UNAUTHENTICATED, INSUFFICIENT_SCOPE, UNAVAILABLE),
)

JSON = (MALFORMED_REQUEST, TOO_LARGE, UNSUPPORTED_MEDIA_TYPE, INVALID_REQUEST)
HERE = (NOT_FOUND, NOT_READY, EXPIRED)
PART = {
    "required": True,
    "description": "The part's bytes, as many as it must have.",
    "content": {"application/octet-stream": {"schema": {"type": "string", "format": "binary"}}},
}


@router.post(
    "/multipart-uploads",
    status_code=201,
    response_model=Upload,
    summary="Begin an upload by parts",
    dependencies=[Depends(require_json)],
    responses=problems(*JSON, LIMIT_EXCEEDED, CONFLICT)
    | {
        201: {
            "description": "Begun: its parts are awaited",
            "headers": {"Location": header("The upload."), **WATCH_HEADERS},
        },
    },
)
def begin_upload(
    services: ServicesDep,
    caller: Writer,
    order: PartsOrder,
    idempotency_key: Annotated[
        IdempotencyKey | None,
        Header(
            description="A key of your own for this upload, such as a UUID. Sent again with the same "
            "body, it is answered with the upload of the first; keys are remembered for ever."
        ),
    ] = None,
) -> Response:
    """Announce a zip, which is then sent by parts: straight to the file store, where it has a server.

    The answer's `parts` says how to cut it. Ask where the parts go, PUT each there, in any order and
    several at a time, and complete the upload. Until `expires_at` it can be interrupted and gone on
    with, also by another program.
    """
    count_request(services, caller)
    upload_id = parts.begin_upload(services, caller, order, idempotency_key)
    upload = look(services, caller, upload_id)
    return answer(upload, 201, {"Location": upload.links.self})


@router.get(
    "/uploads/{upload_id}/parts",
    summary="List the parts that have come",
    responses=problems(*HERE, INVALID_REQUEST),
)
def list_parts(
    services: ServicesDep,
    caller: Reader,
    upload_id: UploadId,
    after: Annotated[
        int, Query(ge=0, le=MOST_PARTS, description="The last number of the page before.")
    ] = 0,
    limit: Annotated[
        int, Query(ge=1, description=f"Length of the page; more than {LONGEST_PAGE} is reduced.")
    ] = LONGEST_PAGE,
) -> PartList:
    """Which parts the file store has, by number. The others are still to be sent."""
    return parts.list_received(services, caller, upload_id, after, min(limit, LONGEST_PAGE))


@router.post(
    "/uploads/{upload_id}/parts",
    summary="Ask where parts go",
    dependencies=[Depends(require_json)],
    responses=problems(*HERE, *JSON),
)
def link_parts(
    services: ServicesDep, caller: Writer, upload_id: UploadId, wanted: PartNumbers
) -> PartLinks:
    """An address for each of these parts, that takes a PUT of exactly the part's bytes.

    Each address holds for one part, for a time, and for whoever has it.
    """
    return parts.link_parts(services, caller, upload_id, wanted.numbers)


@router.put(
    "/uploads/{upload_id}/parts/{number}",
    status_code=204,
    summary="Send a part",
    responses=problems(*HERE, REQUEST_TIMEOUT, TOO_LARGE, INVALID_REQUEST),
    openapi_extra={"requestBody": PART},
)
async def send_part(
    services: ServicesDep,
    caller: Writer,
    request: Request,
    upload_id: UploadId,
    number: Annotated[int, Path(ge=1, le=MOST_PARTS, description="Number of the part, from 1.")],
) -> Response:
    """Send a part through this service: where the file store has no server of its own, or cannot be
    reached. A part that is sent again replaces the first.
    """
    body = stream_body(request, parts.LARGEST_PART, "part")
    try:
        await parts.take_part(services, caller, upload_id, number, body)
    except ClientDisconnect:
        return Response(status_code=400)  # nobody is there to read it
    return Response(status_code=204)


@router.post(
    "/uploads/{upload_id}/complete",
    status_code=202,
    response_model=Upload,
    summary="Complete an upload by parts",
    responses=problems(*HERE, PARTS_MISSING, INVALID_REQUEST)
    | {202: {"description": "Whole, and to be checked", "headers": WATCH_HEADERS}},
)
def complete_upload(services: ServicesDep, caller: Writer, upload_id: UploadId) -> Response:
    """Say that all parts were sent: they are joined, and the zip is checked.

    Parts that are missing are named. Repeating it changes nothing.
    """
    parts.complete_upload(services, caller, upload_id)
    return answer(look(services, caller, upload_id), 202)
