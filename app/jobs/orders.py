"""How an order begins, and how its user ends a job: create, cancel, delete."""

import secrets
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import datetime
from itertools import chain, islice
from typing import Any

from sqlalchemy import insert
from sqlalchemy.orm import Session

from app.archive.plan import Plan
from app.clock import Clock, utc_now
from app.database import Database
from app.jobs.states import cancel, find_job, settle
from app.jobs.tables import Item, ItemKind, ItemState, Job, JobKind, JobStatus

INSERTED_AT_ONCE = 1_000


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
    deadline: datetime | None = None,
    check: Callable[[Session, datetime], None] = lambda session, now: None,
    clock: Clock = utc_now,
) -> str:
    """Store an order of ``request["count"]`` pairs, cut into shards and the packing of its volumes.

    ``request`` is complete: count, resolution, model as name@version, seed, and volume_pairs if there
    are several volumes. ``check`` may refuse
    the order by raising; it runs in the transaction that would store it. Returns the job's id.

    Raises:
        sqlalchemy.exc.IntegrityError: the owner has an order with this idempotency key.
    """
    now = clock()
    plan = Plan.of(request, shard_pairs)
    job = Job(
        id=f"ds_{secrets.token_urlsafe(15)}",
        kind=JobKind.DATASET,
        owner=owner,
        request=request,
        package_digest=package_digest,
        count=plan.count,
        shard_pairs=shard_pairs,
        max_attempts=max_attempts,
        retention_seconds=retention_seconds,
        idempotency_key=idempotency and idempotency.key,
        order_digest=idempotency and idempotency.order_digest,
        webhook_url=webhook_url,
        deadline_at=deadline,
        created_at=now,
    )
    job.enter(JobStatus.QUEUED, now)
    with db.write() as session:
        check(session, now)
        session.add(job)
        session.flush()
        items = _items(job.id, plan)
        while batch := list(islice(items, INSERTED_AT_ONCE)):
            session.execute(insert(Item), batch)
    return job.id


def _items(job_id: str, plan: Plan) -> Iterator[dict[str, Any]]:
    """The rows of a new order's items: its shards, then the packing of its volumes."""
    shards = map(plan.pairs_of_shard, range(plan.shards))
    volumes = map(plan.pairs_of_volume, range(1, plan.volumes + 1))
    kinds = chain(
        ((ItemKind.SHARD, ItemState.READY, pairs) for pairs in shards),
        ((ItemKind.PACK, ItemState.WAITING, pairs) for pairs in volumes),
    )
    for ordinal, (kind, state, pairs) in enumerate(kinds):
        yield {
            "job_id": job_id,
            "kind": kind,
            "ordinal": ordinal,
            "first": pairs.start,
            "count": len(pairs),
            "state": state,
        }


def request_cancel(db: Database, job_id: str, clock: Clock = utc_now) -> bool:
    """Cancel the job: no shard is begun any more, and those that are done are packed.

    In any other state nothing changes. Returns whether there is such a job.
    """
    with db.write() as session:
        job = find_job(session, job_id)
        if job is None or job.deleted_at is not None:
            return False
        cancel(session, job, clock())
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
            cancel(session, job, now)
            settle(session, job, now)  # one that is cancelling no longer packs its part
        return True
