"""The sweeper's work: put right what no worker is left to put right."""

import logging
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from sqlalchemy import ColumnElement, Select, delete, exists, func, select
from sqlalchemy.orm import Session

from app.clock import Clock, utc_now
from app.database import Database
from app.jobs.leases import note_failure
from app.jobs.states import cancel, lock_job, settle
from app.jobs.tables import ACTIVE, ENDED, Item, ItemState, Job, JobStatus, Role
from app.jobs.uses import in_use
from app.observability.context import logged_with
from app.storage import Storage, job_prefix

logger = logging.getLogger(__name__)

WORKER_LOST = {
    "code": "worker_lost",
    "detail": "The worker stopped reporting before it had finished: it was killed, for lack of memory "
    "perhaps, or cut off. Order again when those who run the service have seen to it.",
}

DEADLINE_EXCEEDED = {
    "code": "deadline_exceeded",
    "detail": "The deadline came before the job had ended. What was finished by then is kept; order the "
    "rest anew with the same seed, or with a later deadline.",
}

UPLOAD_INCOMPLETE = {
    "code": "upload_incomplete",
    "detail": "The upload was not completed in time, and what had come of it is removed. Send it again.",
}


@dataclass
class SweepReport:
    """What one sweep did, and what waits afterwards."""

    expired: int = 0  # leases that had run out
    overdue: int = 0  # jobs cancelled at their deadline
    settled: int = 0  # jobs moved on: packing made ready, or cancelled
    outlived: int = 0  # jobs whose time had come, and uploads that were not completed in time
    purged: int = 0  # deleted and expired jobs whose bytes were removed
    ready: Mapping[Role, int] = field(default_factory=dict)  # items that wait for a worker now


def sweep(db: Database, storage: Storage, clock: Clock = utc_now) -> SweepReport:
    """Return or fail items whose lease ran out, cancel jobs at their deadline, move stuck jobs on,
    remove what was deleted.

    Safe at any time and from several processes at once: each job has a transaction of its own that
    looks again, under the job's lock, before it changes anything.
    """
    report = SweepReport()
    for job_id in _ids(db, select(Item.job_id).where(*_expired(clock())).distinct()):
        report.expired += _end_expired_leases(db, job_id, clock)
    for job_id in _ids(db, select(Job.id).where(*_overdue(clock()))):
        report.overdue += _end_overdue(db, job_id, clock)
    begun = Job.status.in_((JobStatus.RUNNING, JobStatus.CANCELLING))
    idle = ~_has_item(ItemState.READY, ItemState.LEASED)
    for job_id in _ids(db, select(Job.id).where(begun, idle)):
        report.settled += _settle(db, job_id, clock)
    # What is queued has no expiry but an upload whose bytes are awaited.
    mortal = Job.status.in_((ENDED - {JobStatus.EXPIRED}) | {JobStatus.QUEUED})
    outlived = mortal & (Job.expires_at < clock())
    for job_id in _ids(db, select(Job.id).where(outlived, Job.deleted_at.is_(None), ~in_use())):
        report.outlived += _expire(db, job_id, clock)
    gone = Job.deleted_at.is_not(None) | (Job.status == JobStatus.EXPIRED)
    unused = Job.purged_at.is_(None) & ~_has_item(ItemState.LEASED)
    for job_id in _ids(db, select(Job.id).where(gone, unused)):
        report.purged += _purge(db, storage, job_id, clock)
    with db.read() as session:
        report.ready = count_ready(session)
    return report


def count_ready(session: Session) -> dict[Role, int]:
    """Number of items that wait for a worker, of each role that has any."""
    counts = select(Item.kind, func.count()).where(Item.state == ItemState.READY)
    ready = dict(session.execute(counts.group_by(Item.kind)).all())
    sums = {role: sum(ready.get(kind, 0) for kind in role.kinds) for role in Role}
    return {role: count for role, count in sums.items() if count}


def _ids(db: Database, statement: Select[str]) -> list[str]:
    with db.read() as session:
        return list(session.scalars(statement))


def _has_item(*states: ItemState) -> ColumnElement[bool]:
    return exists().where(Item.job_id == Job.id, Item.state.in_(states))


def _expired(now: datetime) -> tuple[Any, ...]:
    return Item.state == ItemState.LEASED, Item.lease_until < now


def _end_expired_leases(db: Database, job_id: str, clock: Clock) -> int:
    with db.write() as session:
        job = lock_job(session, job_id)
        expired = select(Item).where(Item.job_id == job_id, *_expired(clock()))
        items = session.scalars(expired.order_by(Item.ordinal)).all()
        for item in items:
            note_failure(session, job, item, WORKER_LOST, clock())
            with logged_with(request_id=job.request_id, job_id=job_id, item_id=item.id):
                logger.warning(
                    "%s %d of %s is taken from %s, which has stopped reporting",
                    item.kind,
                    item.ordinal,
                    job_id,
                    item.worker_id,
                )
        return len(items)


def _overdue(now: datetime) -> tuple[Any, ...]:
    return Job.status.in_(ACTIVE), Job.deadline_at < now


def _end_overdue(db: Database, job_id: str, clock: Clock) -> bool:
    with db.write() as session:
        job = lock_job(session, job_id)
        if job.status not in ACTIVE:
            return False
        job.error = DEADLINE_EXCEEDED
        cancel(session, job, clock())
        _log(job, "its deadline has come")
        return True


def _settle(db: Database, job_id: str, clock: Clock) -> bool:
    with db.write() as session:
        job = lock_job(session, job_id)
        before = job.status
        settle(session, job, clock())
        if job.status == before:
            return False
        _log(job, f"it was {before}, and nobody was left to move it on")
        return True


def _expire(db: Database, job_id: str, clock: Clock) -> bool:
    with db.write() as session:
        job = lock_job(session, job_id)
        now = clock()
        if job.status == JobStatus.EXPIRED or job.expires_at is None or job.expires_at >= now:
            return False  # another sweeper was faster, or the last bytes of an upload have come
        if job.is_receiving:
            job.error = UPLOAD_INCOMPLETE
        job.enter(JobStatus.EXPIRED, now)
        settle(session, job, now)
        _log(job, "its time is over")
        return True


def _purge(db: Database, storage: Storage, job_id: str, clock: Clock) -> bool:
    """Remove the bytes, then the items. The job's row stays: it says what became of it."""
    try:
        storage.delete_prefix(job_prefix(job_id))
    except Exception:
        # One folder that cannot be removed must not hold up the others; the next sweep tries again.
        logger.exception("The files of the job %s could not be removed", job_id)
        return False
    with db.write() as session:
        job = lock_job(session, job_id)
        session.execute(delete(Item).where(Item.job_id == job_id))
        job.purged_at = clock()
        _log(job, "its files are removed")
    return True


def _log(job: Job, why: str) -> None:
    with logged_with(request_id=job.request_id, job_id=job.id):
        logger.info("%s is %s: %s", job.id, job.status, why)
