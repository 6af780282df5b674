"""How long orders will take and how large they get."""

from dataclasses import dataclass

from sqlalchemy import func, select
from sqlalchemy.orm import Session

from app.datasets.schemas import Estimate
from app.jobs.tables import ACTIVE, Item, ItemKind, ItemState, Job, JobKind, JobStatus, Rate
from app.registry.service import RegisteredModel, Registry


@dataclass(frozen=True)
class PairCost:
    """What one pair costs one worker, and in the archive."""

    seconds: float
    bytes: float
    measured: bool  # here, and not taken from the package


def measured_cost(session: Session, model: str, resolution: int) -> PairCost | None:
    """What finished shards of ``model`` (name@version) have shown, if there are any."""
    rate = session.get(Rate, (model, resolution))
    if rate is None:
        return None
    return PairCost(rate.seconds_per_pair, rate.bytes_per_pair, measured=True)


def expected_cost(model: RegisteredModel) -> PairCost:
    """What the model's package expects."""
    expected = model.manifest.expected
    return PairCost(expected.seconds_per_pair, expected.bytes_per_pair, measured=False)


def pairs_done(session: Session, job_ids: list[str], kind: ItemKind) -> dict[str, int]:
    """Pairs that the items of this kind have finished, for each job."""
    rows = session.execute(
        select(Item.job_id, func.sum(Item.progress))
        .where(Item.job_id.in_(job_ids), Item.kind == kind)
        .group_by(Item.job_id)
    )
    return {job_id: int(pairs) for job_id, pairs in rows}


def queue_estimates(session: Session, registry: Registry) -> dict[str, Estimate]:
    """The estimate of every unfinished order, in the order in which they are worked on.

    All workers share the work: a job takes what is ahead of it and what is left of it, divided by
    the number of shards that are made now.
    """
    jobs = session.scalars(
        select(Job)
        .where(Job.kind == JobKind.DATASET, Job.status.in_(ACTIVE))
        .order_by(Job.created_at, Job.id)
    ).all()
    begun = [job.id for job in jobs if job.status != JobStatus.QUEUED]
    done = pairs_done(session, begun, ItemKind.SHARD)
    making = (Item.state == ItemState.LEASED) & (Item.kind == ItemKind.SHARD)
    leased = session.scalar(select(func.count()).where(making))
    workers = max(1, leased or 0)
    costs: dict[tuple[str, int], PairCost | None] = {}
    estimates = {}
    seconds = 0.0
    queued = 0
    for job in jobs:
        key = (job.request["model"], job.request["resolution"])
        if key not in costs:
            costs[key] = measured_cost(session, *key) or _expected_cost(session, registry, key[0])
        cost = costs[key]
        if cost is not None:
            seconds += (job.count - done.get(job.id, 0)) * cost.seconds
        waits = job.status == JobStatus.QUEUED
        queued += waits
        estimates[job.id] = Estimate(
            seconds_left=None if cost is None else round(seconds / workers, 1),
            queue_position=queued if waits else None,
            bytes=None if cost is None else round(job.count * cost.bytes),
        )
    return estimates


def _expected_cost(session: Session, registry: Registry, model: str) -> PairCost | None:
    found = registry.get(session, model)  # None: the package was removed after the order
    return None if found is None else expected_cost(found)
