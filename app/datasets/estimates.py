"""How long orders will take and how large they get."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from sqlalchemy import func, select
from sqlalchemy.orm import Session

from app.archive.constraints import limits_of
from app.archive.formats import format_of
from app.datasets.constraints import expected_slowdown
from app.datasets.schemas import Estimate
from app.jobs.rates import rate_key
from app.jobs.tables import ACTIVE, Item, ItemKind, ItemState, Job, JobKind, JobStatus, Rate
from app.registry.service import RegisteredModel, Registry


@dataclass(frozen=True)
class PairCost:
    """What one pair costs one worker, and in the archive."""

    seconds: float
    bytes: float
    measured: bool  # here, and not taken from the package


def measured_cost(session: Session, order: Mapping[str, Any]) -> PairCost | None:
    """What finished shards of the order's model, resolution and format have shown, if any."""
    rate = session.get(Rate, rate_key(order))
    if rate is None:
        return None
    return PairCost(rate.seconds_per_pair, rate.bytes_per_pair, measured=True)


def expected_cost(model: RegisteredModel, order: Mapping[str, Any]) -> PairCost:
    """What the model's package expects, which speaks of PNG."""
    expected = model.manifest.expected.at(order["resolution"])
    size = expected.bytes_per_pair * format_of(order).share
    return PairCost(expected.seconds_per_pair, size, measured=False)


def pairs_done(session: Session, job_ids: Iterable[str]) -> dict[tuple[str, str], int]:
    """Pairs that items have finished, by job and kind of item."""
    rows = session.execute(
        select(Item.job_id, Item.kind, func.sum(Item.progress))
        .where(Item.job_id.in_(job_ids))
        .group_by(Item.job_id, Item.kind)
    )
    return {(job_id, kind): int(pairs) for job_id, kind, pairs in rows}


def own_costs(session: Session, job_ids: list[str]) -> dict[str, PairCost]:
    """What the finished shards of each of these jobs have shown, where there are any."""
    if not job_ids:
        return {}
    seconds, size = (func.sum(Item.result[name].as_float()) for name in ("seconds", "bytes"))
    rows = session.execute(
        select(Item.job_id, func.sum(Item.count), seconds, size)
        .where(Item.job_id.in_(job_ids))
        .where(Item.kind == ItemKind.SHARD, Item.state == ItemState.DONE)
        .group_by(Item.job_id)
    )
    return {
        job_id: PairCost(seconds / pairs, size / pairs, measured=True)
        for job_id, pairs, seconds, size in rows
    }


def pairs_rejected(session: Session, job: Job) -> dict[str, int] | None:
    """Candidates that the job's finished shards have turned away, by measure; None without limits."""
    measures = list(limits_of(job.request))
    if not measures or job.purged_at is not None:
        return None
    counts = (func.sum(Item.result["rejected"][name].as_integer()) for name in measures)
    row = session.execute(
        select(*counts).where(
            Item.job_id == job.id, Item.kind == ItemKind.SHARD, Item.state == ItemState.DONE
        )
    ).one()
    return {measure: count or 0 for measure, count in zip(measures, row, strict=True)}


def unfinished_orders(session: Session) -> Sequence[Job]:
    """In the order in which they are worked on."""
    return session.scalars(
        select(Job)
        .where(Job.kind == JobKind.DATASET, Job.status.in_(ACTIVE))
        .order_by(Job.created_at, Job.id)
    ).all()


def queue_estimates(
    session: Session,
    registry: Registry,
    jobs: Sequence[Job],
    done: Mapping[tuple[str, str], int],
) -> dict[str, Estimate]:
    """The estimate of each of the unfinished orders, which must be all of them.

    All workers share the work: a job takes what is ahead of it and what is left of it, divided by
    the number of shards that are made now. ``done`` is what :func:`pairs_done` says of those begun.
    """
    making = (Item.state == ItemState.LEASED) & (Item.kind == ItemKind.SHARD)
    leased = session.scalar(select(func.count()).where(making))
    workers = max(1, leased or 0)
    # What candidates turned away cost is not in the rates: such a job has its own.
    own = own_costs(session, [job.id for job in jobs if limits_of(job.request)])
    costs: dict[tuple[Any, ...], PairCost | None] = {}
    estimates = {}
    seconds = 0.0
    queued = 0
    for job in jobs:
        key = (*rate_key(job.request), *limits_of(job.request).items())
        if key not in costs:
            free = measured_cost(session, job.request) or _expected_cost(
                session, registry, job.request
            )
            costs[key] = _slowed(session, free, registry, job)
        cost = own.get(job.id) or costs[key]
        if cost is not None:
            seconds += (job.count - done.get((job.id, ItemKind.SHARD), 0)) * cost.seconds
        waits = job.status == JobStatus.QUEUED
        queued += waits
        estimates[job.id] = Estimate(
            seconds_left=None if cost is None else round(seconds / workers, 1),
            queue_position=queued if waits else None,
            bytes=None if cost is None else round(job.count * cost.bytes),
        )
    return estimates


def _expected_cost(
    session: Session, registry: Registry, order: Mapping[str, Any]
) -> PairCost | None:
    model = registry.get(session, order["model"])  # None: the package was removed after the order
    return None if model is None else expected_cost(model, order)


def _slowed(
    session: Session, cost: PairCost | None, registry: Registry, job: Job
) -> PairCost | None:
    """The cost of a pair that is within the job's limits."""
    if cost is None or not limits_of(job.request):
        return cost
    model = registry.get(session, job.request["model"])
    if model is None:
        return cost
    return replace(cost, seconds=cost.seconds * expected_slowdown(job.request, model))
