"""Uploads by parts: begun first, sent part by part in any order, and joined when all have come.

The row says how the zip is cut, the storage which parts have come. So whoever knows the id can go on
with an upload that was interrupted.
"""

from collections.abc import AsyncIterator
from dataclasses import dataclass
from datetime import timedelta
from functools import partial

from fastapi.concurrency import run_in_threadpool
from sqlalchemy.exc import IntegrityError

from app.access.caller import Caller
from app.access.idempotency import place_once
from app.access.jobs import refuse_expired, terms_for
from app.broker import send_hints
from app.deps import Services
from app.errors import FieldError, ProblemError, invalid_field, not_found, not_ready
from app.jobs.tables import Job, JobKind
from app.jobs.terms import Idempotency, new_id
from app.jobs.uploads import UPLOAD_HOURS, create_upload, start_check
from app.problems import INVALID_REQUEST, PARTS_MISSING
from app.storage import LINK_SECONDS, StorageKeyError, job_prefix
from app.uploads.pictures import zip_key
from app.uploads.schemas import Part, PartLink, PartLinks, PartList, PartsOrder
from app.uploads.service import clear_away, find_upload, pour

SMALLEST_PART, LARGEST_PART = 8 << 20, 64 << 20  # bytes
PARTS_AIMED_AT = 1_000
MOST_NAMED = 100  # missing parts in one answer


@dataclass(frozen=True)
class Awaited:
    """An upload whose parts are awaited: what its row says of them."""

    job: Job
    key: str  # of the zip
    upload: str  # the storage's name of it
    size: int  # bytes in each part but the last
    count: int

    @classmethod
    def of(cls, job: Job) -> "Awaited | None":
        return cls(job, zip_key(job.id), **job.parts) if job.is_receiving and job.parts else None

    def length(self, number: int) -> int:
        """Bytes that the part must have."""
        return min(self.size, self.job.request["bytes"] - (number - 1) * self.size)


def part_size(length: int) -> int:
    """Bytes in each part but the last of a zip of this length: a power of two, 8 to 64 MiB."""
    size = SMALLEST_PART
    while size < LARGEST_PART and size * PARTS_AIMED_AT < length:
        size *= 2
    return size


def begin_upload(
    services: Services, caller: Caller, order: PartsOrder, key: str | None = None
) -> str:
    """Store a job that awaits the parts of a zip, and return its id.

    With an idempotency key (a plain one) that the same owner began an equal upload with, return that
    upload's id instead.

    Raises:
        ProblemError: the key was used for something else.
    """
    return place_once(services, caller, order, key, partial(_begin, services, caller, order))


def _begin(
    services: Services, caller: Caller, order: PartsOrder, idempotency: Idempotency | None
) -> str:
    upload_id, size = new_id(JobKind.UPLOAD), part_size(order.bytes)
    # The row needs the storage's name of it; if no row comes of it, the sweeper finds it by its age.
    upload = services.storage.begin_parts(zip_key(upload_id))
    try:
        create_upload(
            services.db,
            upload_id,
            request=order.model_dump(exclude_none=True),
            parts={"size": size, "count": -(-order.bytes // size), "upload": upload},
            hours=UPLOAD_HOURS,
            **terms_for(services, caller, idempotency),
        )
    except IntegrityError:
        services.storage.delete_prefix(job_prefix(upload_id))
        raise
    return upload_id


def count_received(services: Services, job: Job) -> int | None:
    """How many parts of an upload by parts have come; None if the upload awaits none."""
    awaited = Awaited.of(job)
    if awaited is None:
        return None
    try:
        return len(services.storage.parts(awaited.key, awaited.upload))
    except StorageKeyError:  # they have been joined this moment
        return awaited.count


def list_received(
    services: Services, caller: Caller, upload_id: str, after: int, most: int
) -> PartList:
    """The parts that have come: the first ``most`` behind number ``after``.

    Raises:
        ProblemError: there is no such upload, or it awaits no parts.
    """
    awaited = _find_awaited(services, caller, upload_id)
    try:
        found = services.storage.parts(awaited.key, awaited.upload, after, most + 1)
    except StorageKeyError:
        raise _awaits_none(awaited.job) from None
    page = [Part(number=number, bytes=size) for number, size in found.items()]
    return PartList(data=page[:most], has_more=len(page) > most)


def link_parts(services: Services, caller: Caller, upload_id: str, numbers: list[int]) -> PartLinks:
    """Where to PUT each of these parts.

    Raises:
        ProblemError: there is no such upload or part, or the upload awaits no parts.
    """
    awaited = _find_awaited(services, caller, upload_id)
    if max(numbers) > awaited.count:
        raise invalid_field("numbers", f"The upload has parts 1 to {awaited.count}.")
    until = services.clock() + timedelta(seconds=LINK_SECONDS)
    links = []
    for number in numbers:
        size = awaited.length(number)
        url = services.storage.part_link(awaited.key, awaited.upload, number, size)
        here = f"/uploads/{upload_id}/parts/{number}"
        links.append(PartLink(number=number, bytes=size, url=url or here))
    return PartLinks(data=links, expires_at=min(until, awaited.job.expires_at or until))


async def take_part(
    services: Services, caller: Caller, upload_id: str, number: int, body: AsyncIterator[bytes]
) -> None:
    """Store the body as a part; nothing is left of one that breaks off or has another length.

    Raises:
        ProblemError: there is no such upload or part, the upload awaits no parts, or the body does not
            have the part's length.
        starlette.requests.ClientDisconnect: it broke off.
    """
    awaited = await run_in_threadpool(_find_awaited, services, caller, upload_id)
    if number > awaited.count:
        raise not_found(f"part {number}: the upload has parts 1 to {awaited.count}")
    part = services.storage.write_part(awaited.key, awaited.upload, number)
    try:
        await pour(_exactly(body, number, awaited.length(number)), part)
    except StorageKeyError:
        raise _awaits_none(awaited.job) from None


def complete_upload(services: Services, caller: Caller, upload_id: str) -> None:
    """Join the parts and make the check ready; an upload that was completed already stays as it is.

    Raises:
        ProblemError: there is no such upload, it has expired, or parts are missing.
    """
    job = _find(services, caller, upload_id)
    if not job.is_receiving:
        return
    awaited = Awaited.of(job)
    if awaited is None:
        raise _awaits_none(job)
    try:
        _refuse_missing(awaited, services.storage.parts(awaited.key, awaited.upload))
        services.storage.join_parts(awaited.key, awaited.upload)
    except (StorageKeyError, ProblemError) as error:
        # Joined by another such request: by one at the same time, which may be removing the parts just
        # now, or by one that did not live to note it.
        if not _is_whole(services, job):
            raise (error if isinstance(error, ProblemError) else _awaits_none(job)) from None
    if start_check(services.db, upload_id, job.request["bytes"]):
        send_hints(services.settings, 1)
        return
    # Another such request was faster; or the upload was deleted, or expired, while it was joined.
    with services.db.read() as session:
        gone = session.get_one(Job, upload_id).purged_at is not None
    if gone:
        clear_away(services, upload_id)
    _find(services, caller, upload_id)


def _find(services: Services, caller: Caller, upload_id: str) -> Job:
    with services.db.read() as session:
        job = find_upload(session, upload_id, caller)
    refuse_expired(job)
    return job


def _find_awaited(services: Services, caller: Caller, upload_id: str) -> Awaited:
    job = _find(services, caller, upload_id)
    awaited = Awaited.of(job)
    if awaited is None:
        raise _awaits_none(job)
    return awaited


def _awaits_none(job: Job) -> ProblemError:
    why = "they are no longer taken" if job.parts else "it was not begun by parts"
    return not_ready(job.status, f"The upload awaits no parts: {why}.")


async def _exactly(body: AsyncIterator[bytes], number: int, length: int) -> AsyncIterator[bytes]:
    """The body, which must have this length in the end."""
    came = 0
    async for piece in body:
        came += len(piece)
        if came > length:
            break
        yield piece
    if came != length:
        more = "or more " if came > length else ""
        detail = f"Part {number} has {length} bytes; {came} {more}were sent."
        raise ProblemError(
            INVALID_REQUEST, detail, errors=[FieldError(detail=detail)], expected=length
        )


def _refuse_missing(awaited: Awaited, arrived: dict[int, int]) -> None:
    numbers = range(1, awaited.count + 1)
    missing = [number for number in numbers if arrived.get(number) != awaited.length(number)]
    if missing:
        named = missing[:MOST_NAMED]
        more = ", ..." if len(missing) > MOST_NAMED else ""
        raise ProblemError(
            PARTS_MISSING,
            f"{len(missing)} of {awaited.count} parts have not come: {', '.join(map(str, named))}{more}.",
            missing=named,
        )


def _is_whole(services: Services, job: Job) -> bool:
    try:
        return services.storage.size(zip_key(job.id)) == job.request["bytes"]
    except StorageKeyError:
        return False
