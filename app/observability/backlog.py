"""What the database says of the work that waits, as metrics."""

import time
from collections import Counter
from datetime import datetime
from threading import Lock

from prometheus_client import Gauge
from sqlalchemy import func, select

from app.clock import Clock, utc_now
from app.database import Database
from app.jobs.tables import (
    ENDED,
    OPEN,
    Delivery,
    DeliveryState,
    Item,
    ItemKind,
    Job,
    JobKind,
    JobStatus,
    Role,
)

FRESH_SECONDS = 5.0  # for which an answer of the database is good enough

ITEMS = Gauge(
    "fundusmith_items",
    "Items of unfinished jobs: waiting for other items, ready for a worker, or leased to one.",
    ["role", "state"],
)
QUEUE_AGE = Gauge(
    "fundusmith_queue_age_seconds",
    "How long the oldest job that no worker has begun has been queued; 0 without one.",
    ["role"],
)
JOBS = Gauge("fundusmith_jobs", "Jobs that have not ended.", ["kind", "status"])
DELIVERIES = Gauge(
    "fundusmith_webhook_deliveries", "Webhook deliveries: pending, or given up.", ["state"]
)
OVERDUE = Gauge(
    "fundusmith_webhook_overdue_seconds",
    "How late the delivery is whose next attempt is due the longest; 0 if none is.",
)

_UNENDED = tuple(status for status in JobStatus if status not in ENDED)
_ROLES = {kind: role for role in Role for kind in role.kinds}
_JOB_ROLES = {
    JobKind.DATASET: Role.GENERATE,
    JobKind.UPLOAD: Role.GENERATE,
    JobKind.TRAINING: Role.TRAIN,
    JobKind.EVALUATION: Role.TRAIN,
}
_UNDELIVERED = (DeliveryState.PENDING, DeliveryState.FAILED)


class Backlog:
    """Keeps the gauges above no older than FRESH_SECONDS, however often they are asked for."""

    def __init__(self, db: Database, clock: Clock = utc_now) -> None:
        self._db = db
        self._clock = clock
        self._lock = Lock()
        self._read_at = float("-inf")

    def refresh(self) -> None:
        """Read them anew, unless that was done just now. Each query goes by an index.

        Raises:
            sqlalchemy.exc.OperationalError: the database cannot be used.
        """
        with self._lock:
            if time.monotonic() - self._read_at < FRESH_SECONDS:
                return
            self._read()
            self._read_at = time.monotonic()

    def forget(self) -> None:
        """Show nothing where nothing is known."""
        with self._lock:
            for gauge in (ITEMS, QUEUE_AGE, JOBS, DELIVERIES):
                gauge.clear()
            OVERDUE.set(float("nan"))
            self._read_at = float("-inf")

    def _read(self) -> None:
        now = self._clock()
        with self._db.read() as session:
            items = session.execute(
                select(Item.kind, Item.state, func.count())
                .where(Item.state.in_(OPEN))
                .group_by(Item.kind, Item.state)
            ).all()
            jobs = session.execute(
                select(Job.kind, Job.status, func.count())
                .where(Job.status.in_(_UNENDED))
                .group_by(Job.kind, Job.status)
            ).all()
            queued = session.execute(
                select(Job.kind, func.min(Job.queued_at))
                # An upload whose bytes have not come is queued with an expiry.
                .where(Job.status == JobStatus.QUEUED, Job.expires_at.is_(None))
                .group_by(Job.kind)
            ).all()
            deliveries = session.execute(
                select(Delivery.state, func.count())
                .where(Delivery.state.in_(_UNDELIVERED))
                .group_by(Delivery.state)
            ).all()
            due = session.scalar(
                select(func.min(Delivery.next_attempt_at)).where(
                    Delivery.state == DeliveryState.PENDING
                )
            )
        counts: Counter[tuple[str, str]] = Counter({(r, s): 0 for r in Role for s in OPEN})
        for kind, state, count in items:
            counts[_ROLES[ItemKind(kind)], state] += count
        for labels, count in counts.items():
            ITEMS.labels(*labels).set(count)
        known = {(kind, status): count for kind, status, count in jobs}
        for kind in JobKind:
            for status in _UNENDED:
                JOBS.labels(kind, status).set(known.get((kind, status), 0))
        ages = dict.fromkeys(Role, 0.0)
        for kind, since in queued:
            role = _JOB_ROLES[JobKind(kind)]
            ages[role] = max(ages[role], _seconds(since, now))
        for role, age in ages.items():
            QUEUE_AGE.labels(role).set(age)
        undelivered = dict(deliveries)
        for state in _UNDELIVERED:
            DELIVERIES.labels(state).set(undelivered.get(state, 0))
        OVERDUE.set(_seconds(due, now))


def _seconds(since: datetime | None, now: datetime) -> float:
    return 0.0 if since is None else max(0.0, (now - since).total_seconds())
