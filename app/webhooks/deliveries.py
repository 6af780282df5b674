"""The queue of deliveries: taking what is due, and noting how it went."""

import random
from dataclasses import dataclass
from datetime import datetime, timedelta

from sqlalchemy import select, update

from app.clock import Clock, utc_now
from app.database import Database
from app.jobs.tables import Delivery, DeliveryState, Job

# Seconds from one failed attempt to the next, as Standard Webhooks advises: three days in all.
DELAYS = (5, 300, 1800, 7200, 18_000, 36_000, 50_400, 72_000, 86_400)
JITTER = 0.1  # of the delay: receivers that fail together are not all tried again together
LEASE = timedelta(seconds=60)  # several times as long as an attempt may take


@dataclass(frozen=True)
class Attempt:
    """One try to send one delivery."""

    delivery_id: str
    number: int  # 1, 2, ...; the fence
    job_id: str
    event: str  # kind.status
    url: str
    created_at: datetime  # when the event happened
    request_id: str | None  # of the request that placed the job


@dataclass(frozen=True)
class Outcome:
    """How an attempt ended."""

    error: str | None = None  # None: the receiver took it
    permanent: bool = False  # no other attempt would end better


def claim_due(db: Database, most: int, clock: Clock = utc_now) -> list[Attempt]:
    """Take up to ``most`` deliveries that are due; those tried least often first.

    So receivers that do not answer hold up nobody else's first attempt.
    """
    now = clock()
    due = (Delivery.state == DeliveryState.PENDING) & (Delivery.next_attempt_at <= now)
    with db.read() as session:  # mostly nothing is due: that should not take the write lock
        if session.scalar(select(Delivery.id).where(due).limit(1)) is None:
            return []
    with db.write() as session:
        deliveries = session.scalars(
            select(Delivery)
            .where(due)
            .order_by(Delivery.attempts, Delivery.next_attempt_at)
            .limit(most)
            .with_for_update(skip_locked=True)
        ).all()
        for delivery in deliveries:
            delivery.attempts += 1
            delivery.next_attempt_at = now + LEASE
        ids = {delivery.job_id for delivery in deliveries}
        rows = session.execute(select(Job.id, Job.request_id).where(Job.id.in_(ids)))
        request_ids = {row.id: row.request_id for row in rows}
        return [
            Attempt(
                delivery_id=delivery.id,
                number=delivery.attempts,
                job_id=delivery.job_id,
                event=delivery.event,
                url=delivery.url,
                created_at=delivery.created_at,
                request_id=request_ids[delivery.job_id],
            )
            for delivery in deliveries
        ]


def note_outcome(
    db: Database, attempt: Attempt, outcome: Outcome, clock: Clock = utc_now
) -> DeliveryState:
    """Note how the attempt ended, unless it counts as lost and another one has begun.

    Returns what that makes of the delivery.
    """
    now = clock()
    if outcome.error is None:
        state, next_attempt_at = DeliveryState.DELIVERED, now
    elif outcome.permanent or attempt.number > len(DELAYS):
        state, next_attempt_at = DeliveryState.FAILED, now
    else:
        seconds = DELAYS[attempt.number - 1] * random.uniform(1 - JITTER, 1 + JITTER)
        state, next_attempt_at = DeliveryState.PENDING, now + timedelta(seconds=seconds)
    with db.write() as session:
        session.execute(
            update(Delivery)
            .where(
                Delivery.id == attempt.delivery_id,
                Delivery.attempts == attempt.number,
                Delivery.state == DeliveryState.PENDING,
            )
            .values(state=state, next_attempt_at=next_attempt_at, last_error=outcome.error)
        )
    return state
