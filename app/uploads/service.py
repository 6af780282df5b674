"""Uploads: taking one in, showing what its check has found, its pictures, deleting it."""

from collections.abc import AsyncIterator
from contextlib import AbstractContextManager
from typing import Any, BinaryIO

from fastapi.concurrency import contextmanager_in_threadpool, run_in_threadpool
from sqlalchemy.orm import Session

from app.access.caller import Caller
from app.access.jobs import find_job, get_job, refuse_expired, terms_for
from app.broker import send_hints
from app.deps import Services
from app.errors import invalid_field, not_found, not_ready
from app.jobs.states import find_job as lock_if_there
from app.jobs.tables import Job, JobKind, JobStatus
from app.jobs.terms import new_id
from app.jobs.uploads import UPLOAD_HOURS, create_upload, forget_upload, start_check
from app.storage import StorageKeyError, job_prefix
from app.uploads.pictures import NoSuchPicture, Which, read_picture, report_key, zip_key
from app.uploads.schemas import Report


async def take_upload(
    services: Services,
    caller: Caller,
    wanted: dict[str, Any],
    announced: int | None,
    body: AsyncIterator[bytes],
) -> str:
    """Store a job, then the body as it comes, and have it checked; returns the job's id.

    ``wanted`` is the rest of the request, ``announced`` the length that the body is said to have, if any.
    Nothing is left of a body that breaks off or that is too long.

    Raises:
        ProblemError: the body is too long, or does not go on, or was deleted meanwhile.
        starlette.requests.ClientDisconnect: it broke off.
    """
    upload_id = new_id(JobKind.UPLOAD)
    await run_in_threadpool(
        create_upload,
        services.db,
        upload_id,
        request={
            "bytes": announced,
            **{name: value for name, value in wanted.items() if value is not None},
        },
        hours=UPLOAD_HOURS,
        **terms_for(services, caller),
    )
    try:
        size = await pour(body, services.storage.write(zip_key(upload_id)))
    except Exception as error:
        await run_in_threadpool(clear_away, services, upload_id)
        if not await run_in_threadpool(forget_upload, services.db, upload_id):
            raise not_found(f"upload {upload_id!r}") from error
        raise
    if not await run_in_threadpool(start_check, services.db, upload_id, size):
        await run_in_threadpool(clear_away, services, upload_id)
        raise not_found(f"upload {upload_id!r}")
    await run_in_threadpool(send_hints, services.settings, 1)
    return upload_id


async def pour(body: AsyncIterator[bytes], opened: AbstractContextManager[BinaryIO]) -> int:
    """Write the body into a file as it comes, and return its length.

    A thread is used only while a piece is written.
    """
    size = 0
    async with contextmanager_in_threadpool(opened) as file:
        async for piece in body:
            size += len(piece)
            await run_in_threadpool(file.write, piece)
    return size


def clear_away(services: Services, upload_id: str) -> None:
    """Remove every byte of an upload that will not be checked."""
    services.storage.delete_prefix(job_prefix(upload_id))


def find_upload(session: Session, upload_id: str, caller: Caller) -> Job:
    """The job of an upload that the caller may see, and that was not deleted.

    Raises:
        ProblemError: there is none.
    """
    return get_job(session, JobKind.UPLOAD, upload_id, caller)


def find_pairs(session: Session, caller: Caller, upload_id: str, fewest: int) -> Job:
    """The upload that an order names in its field ``upload``, with so many pairs at least.

    Raises:
        ProblemError: it cannot be used; the problem names the field.
    """
    job = find_job(session, JobKind.UPLOAD, upload_id, caller)
    if job is None or job.deleted_at is not None:
        raise invalid_field("upload", f"There is no upload {upload_id!r}.")
    if job.request["kind"] != "pairs":
        raise invalid_field("upload", "It holds maps; pairs are needed.")
    if job.status != JobStatus.SUCCEEDED:
        raise invalid_field("upload", f"Its check must have succeeded; it is {job.status}.")
    if job.count < fewest:
        raise invalid_field("upload", f"It has {job.count} pairs; {fewest} are needed.")
    return job


def keep_pairs(session: Session, caller: Caller, upload_id: str, fewest: int) -> None:
    """Lock the upload until the transaction ends, in which a job is stored that needs it.

    Raises:
        ProblemError: it has gone in the meantime.
    """
    lock_if_there(session, upload_id)
    find_pairs(session, caller, upload_id, fewest)


def read_report(services: Services, upload_id: str) -> Report | None:
    """What the check has found; None if it has not ended, or the upload has expired."""
    try:
        return Report.model_validate_json(services.storage.read(report_key(upload_id)))
    except StorageKeyError:
        return None


def picture_of(
    services: Services, caller: Caller, upload_id: str, number: int, which: Which
) -> bytes:
    """The PNG of one picture, as the check has left it.

    Raises:
        ProblemError: there is no such picture, or not yet, or no longer.
    """
    with services.db.read() as session:
        job = find_upload(session, upload_id, caller)
    refuse_expired(job)
    if job.status != JobStatus.SUCCEEDED:
        raise not_ready(job.status, f"The upload has no pictures: its job is {job.status}.")
    try:
        return read_picture(services.storage, upload_id, number, which)
    except NoSuchPicture:
        if number >= job.count:
            raise not_found(
                f"picture {number}: the upload has pairs or maps 0 to {job.count - 1}"
            ) from None
        raise not_found(f"{which} of picture {number}") from None
