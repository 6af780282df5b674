"""Watching a job: its document as an answer with an entity tag, and as server-sent events.

The poll answer stays authoritative: an event carries what ``GET`` on the job answers at that moment,
and its id is that answer's entity tag. So no event is stored, and whoever missed some has missed
nothing: the next one says all that there is to know.
"""

import hashlib
from asyncio import sleep
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Annotated, Protocol

from fastapi import Header, Response
from fastapi.concurrency import run_in_threadpool
from fastapi.sse import ServerSentEvent
from sqlalchemy.exc import OperationalError

from app.download import matches
from app.errors import ProblemError
from app.jobs.tables import ENDED, JobStatus
from app.openapi import header
from app.streams import EventStreams

LastEventId = Annotated[
    str | None,
    Header(description="Id of the last event that was received; that one is not sent again."),
]
IfNoneMatch = Annotated[
    str | None, Header(description="The ETag of an answer that is at hand: 304 if it is the same.")
]
WATCH_HEADERS = {
    "ETag": header("Names this very answer."),
    "Retry-After": header(
        "Seconds until the next look, while the job has not ended.", "integer", required=False
    ),
}


@dataclass(frozen=True)
class Look:
    """A job's document as it was at one moment."""

    body: str  # JSON
    ended: bool  # so that no other will follow

    @property
    def tag(self) -> str:
        """Names this very document: 32 hexadecimal digits of its SHA-256."""
        return hashlib.sha256(self.body.encode()).hexdigest()[:32]


class Estimated(Protocol):
    @property
    def seconds_left(self) -> float | None: ...


class Watched(Protocol):
    """The document of a job."""

    @property
    def status(self) -> JobStatus: ...

    @property
    def estimate(self) -> Estimated: ...

    def model_dump_json(self, *, by_alias: bool) -> str: ...


def look_at(document: Watched) -> Look:
    """What the document says now."""
    return Look(document.model_dump_json(by_alias=True), ended=document.status in ENDED)


def answer(
    document: Watched,
    status: int,
    headers: dict[str, str] | None = None,
    if_none_match: str | None = None,
) -> Response:
    """The document of a job, and until it has ended, when to look again; 304 if the asker has it."""
    look = look_at(document)
    etag = f'"{look.tag}"'
    headers = {"ETag": etag, **(headers or {})}
    if not look.ended:  # to look often at a long job is not worth while
        minutes_left = (document.estimate.seconds_left or 0) / 60
        headers["Retry-After"] = str(max(1, min(10, round(minutes_left))))
    if matches(if_none_match, etag):
        return Response(status_code=304, headers=headers)
    return Response(look.body, status, headers, "application/json")


@dataclass(frozen=True)
class Stream:
    """What one follower sees: a first look, and how to look again."""

    first: Look
    look: Callable[[], Look]


@asynccontextmanager
async def open_stream(
    streams: EventStreams, response: Response, look: Callable[[], Look], seen: str | None
) -> AsyncIterator[Stream]:
    """Counts the stream for as long as the block lasts, and refuses what is too late to refuse in it.

    Raises:
        ProblemError: as many are open as may be, or what ``look`` raises.
    """
    with streams.one():
        first = await run_in_threadpool(look)
        if first.ended and first.tag == seen:
            response.status_code = 204  # which tells an EventSource not to connect again
        yield Stream(first, look)


async def follow(
    streams: EventStreams, stream: Stream, seen: str | None
) -> AsyncIterator[ServerSentEvent]:
    """An event for the first look, unless ``seen`` is its tag, and for each change up to the job's end.

    Between two looks neither a connection nor a thread is held. A job that is deleted, so that
    looking raises a problem, ends the events; a database that cannot be used only delays them.
    """
    look = stream.first
    while True:
        if look.tag != seen:
            yield ServerSentEvent(raw_data=look.body, id=look.tag)
            seen = look.tag
        if look.ended:
            return
        await sleep(streams.pause)
        try:
            look = await run_in_threadpool(stream.look)
        except ProblemError:
            return
        except OperationalError:
            continue
