"""The jobs that a caller may see, one kind at a time."""

from functools import partial

from sqlalchemy import ColumnElement, select, tuple_
from sqlalchemy.orm import Session

from app.access.caller import Caller
from app.deps import Services
from app.errors import ProblemError, expired, invalid_parameter, not_found
from app.jobs.orders import request_cancel, request_delete
from app.jobs.tables import Job, JobKind, JobStatus
from app.jobs.terms import Idempotency, Terms
from app.jobs.uses import in_use
from app.pages import LONGEST_PAGE
from app.problems import CONFLICT


def find_job(session: Session, kind: JobKind, job_id: str, caller: Caller) -> Job | None:
    """The job, also a deleted one. Another kind's, or another owner's, is as good as none."""
    job = session.get(Job, job_id)
    if job is None or job.kind != kind or not caller.may_see(job.owner):
        return None
    return job


def get_job(
    session: Session, kind: JobKind, job_id: str, caller: Caller, *, deleted: bool = False
) -> Job:
    """As :func:`find_job`, but a deleted one only if ``deleted`` ones are wanted too.

    Raises:
        ProblemError: there is none.
    """
    job = find_job(session, kind, job_id, caller)
    if job is None or (job.deleted_at is not None and not deleted):
        raise not_found(f"{kind.noun} {job_id!r}")
    return job


def list_jobs(
    session: Session,
    kind: JobKind,
    caller: Caller,
    status: JobStatus | None,
    after: str | None,
    limit: int,
    *only: ColumnElement[bool],
) -> tuple[list[Job], bool]:
    """A page of the caller's jobs of one kind, the newest first, and whether there are more.

    A ``limit`` of more than a page may have is reduced. ``only`` are further conditions.

    Raises:
        ProblemError: there is no job ``after`` which the page could begin.
    """
    limit = min(limit, LONGEST_PAGE)
    newest_first = (
        select(Job)
        .where(Job.kind == kind, Job.deleted_at.is_(None), *only)
        .order_by(Job.created_at.desc(), Job.id.desc())
        .limit(limit + 1)
    )
    if not caller.sees_all:
        newest_first = newest_first.where(Job.owner == caller.owner)
    if status is not None:
        newest_first = newest_first.where(Job.status == status)
    if after is not None:
        last = find_job(session, kind, after, caller)  # a deleted one still marks its place
        if last is None:
            raise invalid_parameter("after", f"There is no {kind.noun} {after!r}.")
        place = tuple_(last.created_at, last.id)
        newest_first = newest_first.where(tuple_(Job.created_at, Job.id) < place)
    jobs = list(session.scalars(newest_first))
    return jobs[:limit], len(jobs) > limit


def terms_for(services: Services, caller: Caller, idempotency: Idempotency | None = None) -> Terms:
    """What the settings say, and the caller is, for each job that the caller orders."""
    hours = services.settings.retention_hours
    return Terms(
        owner=caller.owner,
        max_attempts=services.settings.max_attempts,
        retention_seconds=None if hours is None else hours * 3600,
        idempotency=idempotency,
        clock=services.clock,
    )


def refuse_expired(job: Job) -> None:
    """Raises the problem of an expired job, if this is one."""
    if job.status == JobStatus.EXPIRED:
        raise expired(f"{JobKind(job.kind).noun} {job.id}")


def cancel_job(services: Services, kind: JobKind, job_id: str, caller: Caller) -> None:
    """Cancel the job; in a state that cannot be cancelled, nothing changes.

    Raises:
        ProblemError: there is no such job.
    """
    with services.db.read() as session:
        get_job(session, kind, job_id, caller)
    request_cancel(services.db, job_id)


def delete_job(services: Services, kind: JobKind, job_id: str, caller: Caller) -> None:
    """Delete the job; one that is deleted already stays so.

    Raises:
        ProblemError: there never was such a job, or another that has not ended needs it.
    """
    with services.db.read() as session:
        get_job(session, kind, job_id, caller, deleted=True)
    request_delete(services.db, job_id, check=partial(_refuse_use, job_id=job_id))


def _refuse_use(session: Session, job_id: str) -> None:
    """Refuse to delete what a job that has not ended needs."""
    if session.scalar(select(Job.id).where(Job.id == job_id, in_use())):
        raise ProblemError(CONFLICT, f"A job that has not ended needs {job_id}.")
