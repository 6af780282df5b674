"""The HTTP interface to evaluations."""

from collections.abc import AsyncIterator
from functools import partial
from typing import Annotated

from fastapi import APIRouter, Depends, Header, Path, Query, Response
from fastapi.responses import StreamingResponse
from fastapi.sse import EventSourceResponse, ServerSentEvent

from app.access.caller import Caller, Reader, Writer
from app.access.idempotency import IdempotencyKey
from app.access.jobs import cancel_job, delete_job, list_jobs, refuse_expired
from app.access.limits import count_request
from app.deps import Services, ServicesDep, require_json
from app.evaluations import service
from app.evaluations.schemas import Evaluation, EvaluationList, EvaluationOrder
from app.evaluations.views import show
from app.jobs.tables import Job, JobKind
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

# A report is data: whatever it shows, it runs no script and fetches nothing.
PAGE_HEADERS = {
    "Content-Security-Policy": "sandbox; default-src 'none'; img-src data:; "
    "style-src 'unsafe-inline'",
    "X-Content-Type-Options": "nosniff",
}

router = APIRouter(
    prefix="/evaluations",
    tags=["evaluations"],
    responses=problems(UNAUTHENTICATED, INSUFFICIENT_SCOPE, UNAVAILABLE),
)

EvaluationId = Annotated[
    str, Path(pattern=ID, description="The id that the order was answered with.")
]
REPORT: Responses = {200: {"content": {"application/json": {"schema": {"type": "object"}}}}}
PAGE: Responses = {
    200: {
        "content": {"text/html": {}},
        "headers": {name: header("Keeps the page from running anything.") for name in PAGE_HEADERS},
    }
}


@router.post(
    "",
    status_code=202,
    response_model=Evaluation,
    summary="Evaluate a model or a data set",
    dependencies=[Depends(require_json)],
    responses=problems(
        MALFORMED_REQUEST,
        TOO_LARGE,
        UNSUPPORTED_MEDIA_TYPE,
        INVALID_REQUEST,
        LIMIT_EXCEEDED,
        CONFLICT,
    )
    | {
        202: {
            "description": "Ordered",
            "headers": {"Location": header("The evaluation."), **WATCH_HEADERS},
        },
    },
)
def create_evaluation(
    services: ServicesDep,
    caller: Writer,
    order: EvaluationOrder,
    idempotency_key: Annotated[
        IdempotencyKey | None,
        Header(
            description="A key of your own for this order, such as a UUID. Sent again with the same "
            "order, it is answered with the evaluation of the first; keys are remembered for ever."
        ),
    ] = None,
) -> Response:
    """Hold generated pairs against real ones: are they real, useful and private enough?

    Segmentation networks are trained on real pairs, on generated ones and on both, and tested on
    pairs that are held out; maps and photographs are measured and searched for copies. The steps of
    an evaluation take minutes each, and all workers that train share them. The answer's `Location` is
    the evaluation to watch.
    """
    count_request(services, caller)
    evaluation_id = service.place_order(services, caller, order, idempotency_key)
    evaluation = _show(services, caller, evaluation_id)
    return answer(evaluation, 202, {"Location": evaluation.links.self})


@router.get("", summary="List evaluations", responses=problems(INVALID_REQUEST))
def list_evaluations(
    services: ServicesDep,
    caller: Reader,
    status: StatusFilter = None,
    after: After = None,
    limit: Limit = FIRST_PAGE,
    model: Annotated[
        str | None,
        Query(
            max_length=100,
            description="Only those of this name@version, or of data sets that it has made.",
        ),
    ] = None,
) -> EvaluationList:
    """Your evaluations, the newest first."""
    only = () if model is None else (Job.request["model"].as_string() == model,)
    with services.db.read() as session:
        jobs, has_more = list_jobs(session, JobKind.EVALUATION, caller, status, after, limit, *only)
        return EvaluationList(data=show(session, jobs), has_more=has_more)


@router.get(
    "/{evaluation_id}",
    response_model=Evaluation,
    summary="Watch an evaluation",
    responses=problems(NOT_FOUND, INVALID_REQUEST)
    | {
        200: {"headers": WATCH_HEADERS},
        304: {"description": "Not changed since the ETag sent", "headers": WATCH_HEADERS},
    },
)
def get_evaluation(
    services: ServicesDep,
    caller: Reader,
    evaluation_id: EvaluationId,
    if_none_match: IfNoneMatch = None,
) -> Response:
    """The state of the evaluation, how far it is, and at its end the figures that matter most."""
    evaluation = _show(services, caller, evaluation_id)
    return answer(evaluation, 200, if_none_match=if_none_match)


async def _open_stream(
    services: ServicesDep,
    caller: Reader,
    evaluation_id: EvaluationId,
    response: Response,
    last_event_id: LastEventId = None,
) -> AsyncIterator[Stream]:
    look = partial(_look_at, services, caller, evaluation_id)
    async with open_stream(services.streams, response, look, last_event_id) as stream:
        yield stream


@router.get(
    "/{evaluation_id}/events",
    summary="Follow an evaluation",
    response_class=EventSourceResponse,
    responses=problems(NOT_FOUND, EXPIRED, INVALID_REQUEST, UNAVAILABLE)
    | {
        200: {"description": "Events, until the evaluation has ended"},
        204: {"description": "It has ended, and Last-Event-ID names its last event"},
    },
)
async def follow_evaluation(
    services: ServicesDep,
    stream: Annotated[Stream, Depends(_open_stream)],
    last_event_id: LastEventId = None,
) -> AsyncIterator[ServerSentEvent]:
    """Server-sent events: the evaluation as `GET /evaluations/{id}` shows it, now and after each change.

    At most two a second; the last one shows how it ended. An event's `id` is the `ETag` of that
    answer, which stays authoritative.
    """
    async for event in follow(services.streams, stream, last_event_id):
        yield event


@router.get(
    "/{evaluation_id}/report",
    summary="Read the report",
    response_class=Response,
    responses=problems(NOT_FOUND, NOT_READY, EXPIRED, INVALID_REQUEST) | REPORT,
)
def get_evaluation_report(
    services: ServicesDep, caller: Reader, evaluation_id: EvaluationId
) -> Response:
    """Every figure, with what it was measured on and how."""
    key = service.report_key(services, caller, evaluation_id, "report")
    return StreamingResponse(services.storage.stream(key), media_type="application/json")


@router.get(
    "/{evaluation_id}/report.html",
    summary="Look at the report",
    response_class=Response,
    responses=problems(NOT_FOUND, NOT_READY, EXPIRED, INVALID_REQUEST) | PAGE,
)
def get_evaluation_page(
    services: ServicesDep, caller: Reader, evaluation_id: EvaluationId
) -> Response:
    """The report as one HTML file, with plots and sheets of pictures."""
    key = service.report_key(services, caller, evaluation_id, "page")
    return StreamingResponse(
        services.storage.stream(key), headers=PAGE_HEADERS, media_type="text/html"
    )


@router.post(
    "/{evaluation_id}/cancel",
    response_model=Evaluation,
    summary="Cancel an evaluation",
    responses=problems(NOT_FOUND, INVALID_REQUEST) | {200: {"headers": WATCH_HEADERS}},
)
def cancel_evaluation(
    services: ServicesDep, caller: Writer, evaluation_id: EvaluationId
) -> Response:
    """Stop the evaluation within seconds; it has no report then.

    In a state that cannot be cancelled, nothing changes and the answer is the same.
    """
    cancel_job(services, JobKind.EVALUATION, evaluation_id, caller)
    return answer(_show(services, caller, evaluation_id), 200)


@router.delete(
    "/{evaluation_id}",
    status_code=204,
    summary="Delete an evaluation",
    responses=problems(NOT_FOUND, INVALID_REQUEST),
)
def delete_evaluation(services: ServicesDep, caller: Writer, evaluation_id: EvaluationId) -> None:
    """Remove the evaluation and its report; if it has not ended it is cancelled."""
    delete_job(services, JobKind.EVALUATION, evaluation_id, caller)


def _show(services: Services, caller: Caller, evaluation_id: str) -> Evaluation:
    with services.db.read() as session:
        job = service.find_evaluation(session, evaluation_id, caller)
        return show(session, [job])[0]


def _look_at(services: Services, caller: Caller, evaluation_id: str) -> Look:
    with services.db.read() as session:
        job = service.find_evaluation(session, evaluation_id, caller)
        refuse_expired(job)
        (evaluation,) = show(session, [job])
    return look_at(evaluation)
