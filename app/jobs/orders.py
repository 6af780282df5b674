"""How a job begins and how its user ends it: create, cancel, delete."""

import secrets
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import insert
from sqlalchemy.orm import Session

from app.clock import Clock, utc_now
from app.database import Database
from app.jobs.states import find_job, settle
from app.jobs.tables import ACTIVE, Item, ItemKind, ItemState, Job, JobKind, JobStatus


@dataclass(frozen=True)
class Idempotency:
    """What marks an order as the repetition of another: its sender's key, and what was ordered."""

    key: str
    order_digest: str


def create_job(
    db: Database,
    *,
    request: dict[str, Any],
    package_digest: str,
    shard_pairs: int,
    owner: str = "",
    max_attempts: int = 3,
    retention_seconds: float | None = None,
    idempotency: Idempotency | None = None,
    webhook_url: str | None = None,
    check: Callable[[Session, datetime], None] = lambda session, now: None,
    clock: Clock = utc_now,
) -> str:
    """Store an order of ``request["count"]`` pairs, cut into shards and their packing.

    ``request`` is complete: count, resolution, model as name@version, seed. ``check`` may refuse
    the order by raising; it runs in the transaction that would store it. Returns the job's id.

    Raises:
        sqlalchemy.exc.IntegrityError: the owner has an order with this idempotency key.
    """
    now = clock()
    count = request["count"]
    job = Job(
        id=f"ds_{secrets.token_urlsafe(15)}",
        kind=JobKind.DATASET,
        owner=owner,
        request=request,
        package_digest=package_digest,
        count=count,
        shard_pairs=shard_pairs,
        max_attempts=max_attempts,
        retention_seconds=retention_seconds,
        idempotency_key=idempotency and idempotency.key,
        order_digest=idempotency and idempotency.order_digest,
        webhook_url=webhook_url,
        created_at=now,
    )
    job.enter(JobStatus.QUEUED, now)
    items = [
        {
            "job_id": job.id,
            "kind": ItemKind.SHARD,
            "ordinal": ordinal,
            "first": first,
            "count": min(shard_pairs, count - first),
            "state": ItemState.READY,
        }
        for ordinal, first in enumerate(range(0, count, shard_pairs))
    ]
    items.append(
        {
            "job_id": job.id,
            "kind": ItemKind.PACK,
            "ordinal": len(items),
            "first": 0,
            "count": count,
            "state": ItemState.WAITING,
        }
    )
    with db.write() as session:
        check(session, now)
        session.add(job)
        session.flush()
        session.execute(insert(Item), items)
    return job.id


def new_upload_id() -> str:
    """An id for :func:`create_upload`: what was uploaded is stored under it before its job is."""
    return f"up_{secrets.token_urlsafe(15)}"


def create_upload(
    db: Database,
    upload_id: str,
    *,
    request: dict[str, Any],
    owner: str = "",
    max_attempts: int = 3,
    retention_seconds: float | None = None,
    clock: Clock = utc_now,
) -> None:
    """Store a job that checks what was uploaded as ``upload_id``; ``request``: kind, bytes."""
    now = clock()
    job = Job(
        id=upload_id,
        kind=JobKind.UPLOAD,
        owner=owner,
        request=request,
        package_digest="",
        count=0,
        shard_pairs=0,
        max_attempts=max_attempts,
        retention_seconds=retention_seconds,
        created_at=now,
    )
    job.enter(JobStatus.QUEUED, now)
    check = Item(
        job_id=upload_id,
        kind=ItemKind.CHECK,
        ordinal=0,
        first=0,
        count=0,
        state=ItemState.READY,
    )
    with db.write() as session:
        session.add(job)
        session.flush()
        session.add(check)


def request_cancel(db: Database, job_id: str, clock: Clock = utc_now) -> bool:
    """Cancel the job: no shard is begun any more, and those that are done are packed.

    In any other state nothing changes. Returns whether there is such a job.
    """
    with db.write() as session:
        job = find_job(session, job_id)
        if job is None or job.deleted_at is not None:
            return False
        _cancel(session, job, clock())
        return True


def request_delete(
    db: Database,
    job_id: str,
    clock: Clock = utc_now,
    check: Callable[[Session], None] = lambda session: None,
) -> bool:
    """Delete the job: it is gone for its user now, and its bytes as soon as no item is leased.

    ``check`` may refuse it by raising; it runs in the transaction that would delete the job, behind
    its lock. Repeating it changes nothing. Returns whether there is, or was, such a job.
    """
    with db.write() as session:
        job = find_job(session, job_id)
        if job is None:
            return False
        if job.deleted_at is None:
            check(session)
            now = clock()
            job.deleted_at = now
            _cancel(session, job, now)
            settle(session, job, now)  # one that is cancelling no longer packs its part
        return True


def _cancel(session: Session, job: Job, now: datetime) -> None:
    if job.status in ACTIVE:
        begun = job.status != JobStatus.QUEUED
        job.enter(JobStatus.CANCELLING if begun else JobStatus.CANCELLED, now)
        settle(session, job, now)
