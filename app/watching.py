"""Watching a job: its document as an answer with an entity tag, and as server-sent events.

The poll answer stays authoritative: an event carries what ``GET`` on the job answers at that moment,
and its id is that answer's entity tag. So no event is stored, and whoever missed some has missed
nothing: the next one says all that there is to know.
"""

import hashlib
from asyncio import sleep
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass
from typing import Annotated

from fastapi import Header, Response
from fastapi.concurrency import run_in_threadpool
from fastapi.sse import ServerSentEvent
from pydantic import BaseModel
from sqlalchemy.exc import OperationalError

from app.datasets.download import matches
from app.errors import ProblemError
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


def answer(
    document: BaseModel,
    status: int,
    retry_after: int | None,
    headers: dict[str, str] | None = None,
    if_none_match: str | None = None,
) -> Response:
    """The document of a job; 304 if the asker has it. ``retry_after`` is None for one that has ended."""
    look = Look(document.model_dump_json(), ended=retry_after is None)
    etag = f'"{look.tag}"'
    headers = {"ETag": etag, **(headers or {})}
    if retry_after is not None:
        headers["Retry-After"] = str(retry_after)
    if matches(if_none_match, etag):
        return Response(status_code=304, headers=headers)
    return Response(look.body, status, headers, "application/json")


async def follow(
    streams: EventStreams, look: Look, look_again: Callable[[], Look], seen: str | None
) -> AsyncIterator[ServerSentEvent]:
    """An event for ``look``, unless ``seen`` is its tag, and for each change up to the job's end.

    Between two looks neither a connection nor a thread is held. A job that is deleted, so that
    ``look_again`` raises a problem, ends the events; a database that cannot be used only delays them.
    """
    while True:
        if look.tag != seen:
            yield ServerSentEvent(raw_data=look.body, id=look.tag)
            seen = look.tag
        if look.ended:
            return
        await sleep(streams.pause)
        try:
            look = await run_in_threadpool(look_again)
        except ProblemError:
            return
        except OperationalError:
            continue
