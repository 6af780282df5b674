"""How many pairs an owner may order."""

from datetime import datetime, timedelta
from math import ceil

from sqlalchemy import ColumnElement, func, select
from sqlalchemy.orm import Session

from app.access.caller import Caller
from app.access.limits import lock_allowance
from app.datasets.estimates import pairs_done, queue_estimates, unfinished_orders
from app.deps import Services
from app.errors import ProblemError
from app.jobs.tables import ACTIVE, Job, JobKind, JobStatus
from app.problems import LIMIT_EXCEEDED
from app.settings import Settings

UNKNOWN_WAIT = 60.0  # seconds, where nothing tells how long an order will take


class QuotaError(ProblemError):
    """The order does not fit into a quota now."""

    def __init__(self, limit: str, allowed: int, used: int, seconds: float, detail: str) -> None:
        super().__init__(
            LIMIT_EXCEEDED,
            detail,
            headers={"Retry-After": str(max(1, ceil(seconds)))},
            limit=limit,
            allowed=allowed,
            used=used,
        )


def largest_order(settings: Settings, caller: Caller) -> int:
    """Pairs that an order of the caller's may ever have."""
    if not caller.owner:
        return settings.max_count
    return min(settings.max_count, settings.quota_unfinished_pairs, settings.quota_pairs_per_day)


def check_quotas(
    session: Session, services: Services, caller: Caller, count: int, now: datetime
) -> None:
    """Refuse an order of ``count`` pairs that does not fit now.

    The owner's orders are checked one after another: the session's transaction must be the one that
    stores the order.

    Raises:
        QuotaError: it does not fit.
    """
    if not caller.owner:
        return
    settings = services.settings
    lock_allowance(session, caller.owner, settings.requests_per_minute, now)

    most = settings.quota_pairs_per_day
    midnight = now.replace(hour=0, minute=0, second=0, microsecond=0)
    used = _pairs(session, caller, Job.created_at >= midnight, Job.status != JobStatus.FAILED)
    if used + count > most:
        raise QuotaError(
            "quota_pairs_per_day",
            most,
            used,
            (midnight + timedelta(days=1) - now).total_seconds(),
            f"{used} of {most} pairs are ordered today (UTC); this order has {count}.",
        )

    most = settings.quota_unfinished_pairs
    used = _pairs(session, caller, Job.status.in_(ACTIVE))
    if used + count > most:
        raise QuotaError(
            "quota_unfinished_pairs",
            most,
            used,
            _seconds_until_fits(session, services, caller, used + count - most),
            f"Unfinished orders have {used} of {most} pairs; this order has {count}.",
        )


def _pairs(session: Session, caller: Caller, *conditions: ColumnElement[bool]) -> int:
    """Pairs of the owner's orders that meet the conditions, deleted ones included."""
    orders = select(func.sum(Job.count)).where(Job.kind == JobKind.DATASET)
    pairs = orders.where(Job.owner == caller.owner, *conditions)
    return session.scalar(pairs) or 0


def _seconds_until_fits(session: Session, services: Services, caller: Caller, excess: int) -> float:
    """When the owner's orders that end first will have made room for the ``excess`` pairs."""
    orders = unfinished_orders(session)
    done = pairs_done(session, [job.id for job in orders])
    estimates = queue_estimates(session, services.registry, orders, done)
    for job in orders:
        excess -= job.count if job.owner == caller.owner else 0
        if excess <= 0:
            seconds = estimates[job.id].seconds_left
            return UNKNOWN_WAIT if seconds is None else seconds
    return UNKNOWN_WAIT
