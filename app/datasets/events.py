"""Server-sent events: the document of a job, sent again whenever it has changed.

The poll answer stays authoritative: an event carries what ``GET /datasets/{id}`` answers at that
moment, and its id is that answer's entity tag. So no event is stored, and whoever missed some has
missed nothing: the next one says all that there is to know.
"""

from asyncio import sleep
from collections.abc import AsyncIterator
from dataclasses import dataclass

from fastapi.concurrency import run_in_threadpool
from fastapi.sse import ServerSentEvent
from sqlalchemy.exc import OperationalError

from app.access.caller import Caller
from app.datasets.service import find_dataset, refuse_expired
from app.datasets.views import show, tag_of
from app.deps import Services
from app.errors import ProblemError
from app.jobs.tables import ENDED


@dataclass(frozen=True)
class Look:
    """A job's document as it was at one moment."""

    job_id: str
    body: str  # JSON
    tag: str
    ended: bool  # so that no other will follow


async def look_at(services: Services, caller: Caller, job_id: str) -> Look:
    """The job's document as it is now.

    Raises:
        ProblemError: there is no such data set, or it has expired.
    """
    return await run_in_threadpool(_look_at, services, caller, job_id)


async def follow(
    services: Services, caller: Caller, look: Look, seen: str | None
) -> AsyncIterator[ServerSentEvent]:
    """An event for ``look``, unless ``seen`` is its tag, and for each change up to the job's end.

    Between two looks neither a connection nor a thread is held. A data set that is deleted ends the
    events; a database that cannot be used only delays them.
    """
    while True:
        if look.tag != seen:
            yield ServerSentEvent(raw_data=look.body, id=look.tag)
            seen = look.tag
        if look.ended:
            return
        await sleep(services.streams.pause)
        try:
            look = await look_at(services, caller, look.job_id)
        except ProblemError:
            return
        except OperationalError:
            continue


def _look_at(services: Services, caller: Caller, job_id: str) -> Look:
    with services.db.read() as session:
        job = find_dataset(session, job_id, caller)
        refuse_expired(job)
        (dataset,) = show(session, services.registry, [job])
    body = dataset.model_dump_json()
    return Look(job_id, body, tag_of(body), ended=dataset.status in ENDED)
