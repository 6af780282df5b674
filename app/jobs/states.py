"""The steps that changes of jobs and items are made of, each within the caller's transaction."""

from datetime import datetime

from sqlalchemy import exists, select, update
from sqlalchemy.orm import Session, aliased

from app.jobs.tables import (
    ACTIVE,
    JOINERS,
    OPEN,
    PIECES,
    Item,
    ItemKind,
    ItemState,
    Job,
    JobStatus,
)


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
    item.live = None
    item.progress = item.count if state == ItemState.DONE else 0


def is_wanted(job: Job, kind: str) -> bool:
    """Whether the job still needs items of this kind: a cancelled one only packs what there is."""
    if job.status == JobStatus.CANCELLING:
        return kind == ItemKind.PACK and job.deleted_at is None
    return job.status in ACTIVE


def cancel(session: Session, job: Job, now: datetime) -> None:
    """End a job that has not ended: no shard is begun any more, and those that are done are packed."""
    if job.status in ACTIVE:
        begun = job.status != JobStatus.QUEUED
        job.enter(JobStatus.CANCELLING if begun else JobStatus.CANCELLED, now)
        settle(session, job, now)


def settle(session: Session, job: Job, now: datetime) -> None:
    """Draw the consequences of a change for the rest of the job.

    The last finished shard makes the packing ready, and the last packed volume ends the job; likewise
    the steps of an evaluation and its report. A job that has ended, or is about to, drops what no
    worker has begun. A cancelling one packs the
    volumes that have a shard which is done, as soon as no item is leased any more, and is then
    cancelled; at once if there are none.
    """
    of_job = Item.job_id == job.id
    pieces = Item.kind.in_(PIECES)
    unbegun = (of_job, Item.state.in_((ItemState.WAITING, ItemState.READY)))
    if job.status == JobStatus.RUNNING:
        if not session.scalar(select(exists().where(of_job, pieces, Item.state.in_(OPEN)))):
            joining = session.scalars(
                update(Item)
                .where(of_job, Item.kind.in_(JOINERS), Item.state == ItemState.WAITING)
                .values(state=ItemState.READY)
                .returning(Item.id)
            )
            if joining.all():
                job.enter(JobStatus.PACKAGING, now)
    elif job.status == JobStatus.PACKAGING:
        if not session.scalar(select(exists().where(of_job, Item.state.in_(OPEN)))):
            job.enter(JobStatus.SUCCEEDED, now)
    elif job.status == JobStatus.CANCELLING:
        session.execute(update(Item).where(*unbegun, pieces).values(state=ItemState.DROPPED))
        if session.scalar(select(exists().where(of_job, Item.state == ItemState.LEASED))):
            return
        if is_wanted(job, ItemKind.PACK):
            shard = aliased(Item)
            has_pairs = exists().where(
                shard.job_id == Item.job_id,
                shard.kind == ItemKind.SHARD,
                shard.state == ItemState.DONE,
                shard.first.between(Item.first, Item.first + Item.count - 1),
            )
            packing = session.scalars(
                update(Item)
                .where(*unbegun, has_pairs)
                .values(state=ItemState.READY)
                .returning(Item.id)
            )
            if packing.all():
                return
        session.execute(update(Item).where(*unbegun).values(state=ItemState.DROPPED))
        job.enter(JobStatus.CANCELLED, now)
    elif job.status not in ACTIVE:
        session.execute(update(Item).where(*unbegun).values(state=ItemState.DROPPED))
