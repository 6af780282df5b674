"""The steps that changes of jobs and items are made of, each within the caller's transaction."""

from datetime import datetime

from sqlalchemy import exists, select, update
from sqlalchemy.orm import Session

from app.jobs.tables import ACTIVE, OPEN, Item, ItemKind, ItemState, Job, JobStatus


def find_job(session: Session, job_id: str) -> Job | None:
    """The job if there is one, locked until the transaction ends.

    (SQLite has no row locks; there the writing transaction has locked the whole database.)
    """
    return session.get(Job, job_id, with_for_update=True)


def lock_job(session: Session, job_id: str) -> Job:
    """As :func:`find_job`, for an id that is known to be a job's."""
    return session.get_one(Job, job_id, with_for_update=True)


def end_lease(item: Item, state: ItemState) -> None:
    """Move a leased item on; only a finished one keeps its progress."""
    item.state = state
    item.lease_until = None
    item.progress = item.count if state == ItemState.DONE else 0


def settle(session: Session, job: Job, now: datetime) -> None:
    """Draw the consequences of a change for the rest of the job.

    The last finished shard makes the packing ready. A job that has ended, or is about to, drops
    what no worker has begun; a cancelling one is cancelled when no item is leased any more.
    """
    of_job = Item.job_id == job.id
    if job.status == JobStatus.RUNNING:
        shards = (of_job, Item.kind == ItemKind.SHARD)
        if not session.scalar(select(exists().where(*shards, Item.state.in_(OPEN)))):
            session.execute(
                update(Item)
                .where(of_job, Item.kind == ItemKind.PACK, Item.state == ItemState.WAITING)
                .values(state=ItemState.READY)
            )
            job.enter(JobStatus.PACKAGING, now)
    elif job.status not in ACTIVE:
        session.execute(
            update(Item)
            .where(of_job, Item.state.in_((ItemState.WAITING, ItemState.READY)))
            .values(state=ItemState.DROPPED)
        )
        leased = session.scalar(select(exists().where(of_job, Item.state == ItemState.LEASED)))
        if job.status == JobStatus.CANCELLING and not leased:
            job.enter(JobStatus.CANCELLED, now)
