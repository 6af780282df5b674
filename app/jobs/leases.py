"""How a worker gets an item, keeps it, and gives it back.

A lease is an item in the state ``leased``, with an attempt number that grows with each claim. Every
later call of the worker names that number; once the item has a newer attempt, or no lease any more,
the call changes nothing.
"""

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import Enum
from operator import itemgetter
from typing import Any

from sqlalchemy import select, update
from sqlalchemy.orm import Session

from app.archive.plan import Plan
from app.clock import Clock, utc_now
from app.database import Database
from app.jobs.evaluations import record, step_names
from app.jobs.rates import add_stages, record_rate
from app.jobs.runs import advance
from app.jobs.states import end_lease, is_wanted, lock_job, settle
from app.jobs.tables import ACTIVE, Item, ItemKind, ItemState, Job, JobKind, JobStatus
from app.jobs.usage import record_usage


@dataclass(frozen=True)
class Claim:
    """One item in the hands of one worker."""

    item_id: int
    job_id: str
    kind: str  # "shard", "pack", "check", "slice", "step" or "report"
    ordinal: int  # place among the job's items
    first: int  # index of its first pair
    count: int  # number of pairs
    attempt: int  # 1, 2, ...; the fence
    worker_id: str
    request: dict[str, Any]  # as the job has it
    package_digest: str  # "" where no model is used
    shard_pairs: int
    pairs: int  # of the whole job
    request_id: str | None  # of the request that placed the job
    traceparent: str | None  # likewise; None where nothing is traced

    @property
    def plan(self) -> Plan:
        return Plan.of(self.request, self.shard_pairs)

    @property
    def volume(self) -> int:
        """Of a packing: the number of its volume, from 1."""
        return self.ordinal - self.plan.shards + 1


class LeaseState(Enum):
    """What a heartbeat learns."""

    HELD = "held"
    CANCELLED = "cancelled"  # the job ends without this item: stop and release
    LOST = "lost"  # the item is another's now: stop and touch nothing


def claim_next(
    db: Database,
    worker_id: str,
    kinds: Sequence[str] = tuple(ItemKind),
    lease_seconds: float = 30,
    clock: Clock = utc_now,
) -> Claim | None:
    """Lease the next ready item: of the job queued first that has one, the one with the lowest ordinal.

    Uploads come before orders: their check is short, and their users wait to hear what is wrong.
    Returns None when no item of these kinds is ready.
    """
    ready = (Item.state == ItemState.READY) & Item.kind.in_(kinds)
    job_with_work = (
        select(Job.id)
        # What is ready of a cancelling one is the packing of its finished part.
        .where(Job.status.in_((*ACTIVE, JobStatus.CANCELLING)))
        .where(select(Item.id).where(Item.job_id == Job.id).where(ready).exists())
        .order_by(Job.kind != JobKind.UPLOAD, Job.queued_at, Job.id)
        .limit(1)
    )
    while True:
        with db.read() as session:  # waiting workers poll: they should not take the write lock
            job_id = session.scalar(job_with_work)
        if job_id is None:
            return None
        with db.write() as session:
            job = lock_job(session, job_id)
            item = session.scalar(
                select(Item)
                .where(Item.job_id == job_id)
                .where(ready)
                .order_by(Item.ordinal)
                .limit(1)
            )
            if item is None:
                continue  # another worker was faster
            now = clock()
            item.state = ItemState.LEASED
            item.attempt += 1
            item.worker_id = worker_id
            item.lease_until = now + timedelta(seconds=lease_seconds)
            item.progress = 0
            if job.status == JobStatus.QUEUED:
                job.enter(JobStatus.RUNNING, now)
            return Claim(
                item_id=item.id,
                job_id=job.id,
                kind=item.kind,
                ordinal=item.ordinal,
                first=item.first,
                count=item.count,
                attempt=item.attempt,
                worker_id=worker_id,
                request=job.request,
                package_digest=job.package_digest,
                shard_pairs=job.shard_pairs,
                pairs=job.count,
                request_id=job.request_id,
                traceparent=job.traceparent,
            )


def finished_shards(db: Database, job_id: str) -> list[int]:
    """The ordinals of the job's shards that are done, in order."""
    with db.read() as session:
        return list(
            session.scalars(
                select(Item.ordinal)
                .where(Item.job_id == job_id)
                .where(Item.kind == ItemKind.SHARD, Item.state == ItemState.DONE)
                .order_by(Item.ordinal)
            )
        )


def renew(
    db: Database,
    claim: Claim,
    progress: int,
    lease_seconds: float = 30,
    live: dict[str, Any] | None = None,
    clock: Clock = utc_now,
) -> LeaseState:
    """Heartbeat: prolong the lease from now and note how far the work is (see :class:`Item`)."""
    with db.write() as session:
        until = clock() + timedelta(seconds=lease_seconds)
        held = session.scalar(
            update(Item)
            .where(*_current(claim))
            .values(progress=progress, live=live, lease_until=until)
            .returning(Item.id)
        )
        if held is None:
            return LeaseState.LOST
        wanted = is_wanted(session.get_one(Job, claim.job_id), claim.kind)
        return LeaseState.HELD if wanted else LeaseState.CANCELLED


def complete(db: Database, claim: Claim, result: dict[str, Any], clock: Clock = utc_now) -> bool:
    """Note the item as done, and in the same transaction what follows from it for the job.

    ``result`` of a shard: ``segment_key, index_key, bytes, seconds, stage_seconds, environment`` and,
    if the order has limits, ``rejected``; of a packing: ``number, key, pairs, bytes,
    manifest_sha256`` of its volume; of a check: ``count, index_sha256``, and ``error``, which fails
    the job, or None; of a slice: see :mod:`app.jobs.runs`; of a step and a report: see
    :mod:`app.jobs.evaluations`. Returns False, and changes nothing, if the lease is no longer the
    claim's.
    """
    with db.write() as session:
        job = lock_job(session, claim.job_id)
        item = _current_item(session, claim)
        if item is None:
            return False
        now = clock()
        if item.kind == ItemKind.CHECK:
            item.count = result["count"]
        elif item.kind == ItemKind.SLICE:
            item.count = result["images"]
        end_lease(item, ItemState.DONE)
        item.result = result
        if item.kind == ItemKind.SHARD:
            job.environment = job.environment or result["environment"]
            job.stage_seconds = add_stages(job.stage_seconds, item.count, result["stage_seconds"])
            # What was turned away took time too, and given maps take less than drawn ones.
            if "rejected" not in result and not job.request.get("maps"):
                record_rate(session, job.request, item.count, result["seconds"], result["bytes"])
            record_usage(session, job.owner, now.date(), item.count, result["seconds"])
        elif item.kind == ItemKind.SLICE:
            advance(session, job, item, now)
        elif item.kind in (ItemKind.STEP, ItemKind.REPORT):
            record(session, job, item, now)
        elif item.kind == ItemKind.CHECK and is_wanted(job, item.kind):
            job.count = result["count"]
            job.index_sha256 = result["index_sha256"]
            job.error = result["error"]
            job.enter(JobStatus.FAILED if job.error else JobStatus.SUCCEEDED, now)
        elif is_wanted(job, item.kind):
            item.progress = result["pairs"]
            job.volumes = sorted([*(job.volumes or []), result], key=itemgetter("number"))
        settle(session, job, now)
        return True


def fail(
    db: Database,
    claim: Claim,
    code: str,
    detail: str,
    clock: Clock = utc_now,
    *,
    final: bool = False,
) -> bool:
    """Note a failed attempt: the item becomes ready again, or after its last attempt the job fails.

    ``code`` is a short word for programs, ``detail`` a sentence for people. ``final``: another attempt
    would end in the same way. Returns False, and changes nothing, if the lease is no longer the
    claim's.
    """
    with db.write() as session:
        job = lock_job(session, claim.job_id)
        item = _current_item(session, claim)
        if item is None:
            return False
        note_failure(session, job, item, {"code": code, "detail": detail}, clock(), final)
        return True


def make_again(db: Database, claim: Claim, shards: Collection[int], clock: Clock = utc_now) -> bool:
    """Have finished shards made again whose bytes are no longer in storage; the claim's packing waits.

    It counts as a failure of the packing, so that bytes which are lost each time end the job. Returns
    False, and changes nothing, if it is the packing's last one, or of a job that makes no more shards,
    or the lease is no longer the claim's.
    """
    with db.write() as session:
        job = lock_job(session, claim.job_id)
        item = _current_item(session, claim)
        if item is None or job.status not in ACTIVE or item.failures + 1 >= job.max_attempts:
            return False
        item.failures += 1
        end_lease(item, ItemState.WAITING)
        done = (Item.kind == ItemKind.SHARD) & (Item.state == ItemState.DONE)
        session.execute(
            update(Item)
            .where(Item.job_id == job.id, Item.ordinal.in_(shards), done)
            .values(state=ItemState.READY, progress=0)
        )
        job.enter(JobStatus.RUNNING, clock())
        return True


def release(db: Database, claim: Claim, clock: Clock = utc_now) -> None:
    """Give the lease back at once without a failure being counted: the worker stops."""
    with db.write() as session:
        job = lock_job(session, claim.job_id)
        item = _current_item(session, claim)
        if item is not None:
            end_lease(item, ItemState.READY if is_wanted(job, item.kind) else ItemState.DROPPED)
            settle(session, job, clock())


def note_failure(
    session: Session,
    job: Job,
    item: Item,
    error: dict[str, str],
    now: datetime,
    final: bool = False,
) -> None:
    """Count a failure of a leased item and decide what becomes of it and of its locked job."""
    item.failures += 1
    item.error = error
    if not is_wanted(job, item.kind):
        end_lease(item, ItemState.DROPPED)
    elif item.failures < job.max_attempts and not final:
        end_lease(item, ItemState.READY)
    else:
        end_lease(item, ItemState.FAILED)
        job.error = {**error, "detail": f"{_what_failed(job, item)} {error['detail']}"}
        if job.status in ACTIVE:
            job.enter(JobStatus.FAILED, now)
    settle(session, job, now)


def _what_failed(job: Job, item: Item) -> str:
    """Which part of the order an item stands for, and how often it was tried."""
    first, last = item.first, item.first + item.count - 1
    if item.kind == ItemKind.PACK:
        part = "The archive could not be packed"
    elif item.kind == ItemKind.CHECK:
        part = "The upload could not be checked"
    elif item.kind == ItemKind.SLICE:
        part = "The training could not go on"
    elif item.kind == ItemKind.STEP:
        part = f"The step {step_names(job.request)[item.ordinal]!r} could not be taken"
    elif item.kind == ItemKind.REPORT:
        part = "The report could not be written"
    elif first == last:
        part = f"Pair {first} could not be made"
    else:
        part = f"Pairs {first} to {last} could not be made"
    times = {1: "once", 2: "twice"}.get(item.failures, f"{item.failures} times")
    return f"{part} (tried {times})."


def _current(claim: Claim) -> tuple[Any, ...]:
    return (
        Item.id == claim.item_id,
        Item.attempt == claim.attempt,
        Item.state == ItemState.LEASED,
    )


def _current_item(session: Session, claim: Claim) -> Item | None:
    """The claim's item, if its lease is still the claim's."""
    return session.scalar(select(Item).where(*_current(claim)))
