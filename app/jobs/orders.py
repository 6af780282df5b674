"""How an order begins, and how its user ends a job: create, cancel, delete."""

from collections.abc import Callable, Iterator
from datetime import datetime
from itertools import chain, islice
from typing import Any, Unpack

from sqlalchemy import insert
from sqlalchemy.orm import Session

from app.archive.plan import Plan
from app.clock import Clock, utc_now
from app.database import Database
from app.jobs.states import cancel, find_job, settle
from app.jobs.tables import Item, ItemKind, ItemState, JobKind
from app.jobs.terms import Terms, new_job

INSERTED_AT_ONCE = 1_000


def create_job(
    db: Database,
    *,
    request: dict[str, Any],
    package_digest: str,
    shard_pairs: int,
    webhook_url: str | None = None,
    deadline: datetime | None = None,
    check: Callable[[Session, datetime], None] = lambda session, now: None,
    **terms: Unpack[Terms],
) -> str:
    """Store an order of ``request["count"]`` pairs, cut into shards and the packing of its volumes.

    ``request`` is complete: count, resolution, model as name@version, seed, and volume_pairs if there
    are several volumes. ``check`` may refuse
    the order by raising; it runs in the transaction that would store it. Returns the job's id.

    Raises:
        sqlalchemy.exc.IntegrityError: the owner has an order with this idempotency key.
    """
    now = terms.get("clock", utc_now)()
    plan = Plan.of(request, shard_pairs)
    job = new_job(
        JobKind.DATASET,
        request,
        now,
        terms,
        package_digest=package_digest,
        count=plan.count,
        shard_pairs=shard_pairs,
        webhook_url=webhook_url,
        deadline_at=deadline,
    )
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
