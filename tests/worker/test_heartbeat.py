"""The heartbeat, with a real database and real time."""

import time
from datetime import timedelta

import pytest
from sqlalchemy import select

from app.clock import utc_now
from app.database import Database
from app.jobs.leases import Claim, LeaseState, claim_next, renew
from app.jobs.orders import request_cancel
from app.jobs.sweep import sweep
from app.jobs.tables import Item
from app.storage import Storage
from tests.waiting import wait_until
from worker.heartbeat import Heartbeat, Interrupted


def item(db: Database, claim: Claim) -> Item:
    with db.read() as session:
        return session.scalars(select(Item).where(Item.id == claim.item_id)).one()


def interruption(heartbeat: Heartbeat, seconds: float = 20) -> Interrupted:
    """Reports as an engine does until it is interrupted."""
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        try:
            heartbeat.report(1)
        except Interrupted as error:
            return error
        time.sleep(0.01)
    raise AssertionError("no interruption in time")


def test_renews_the_lease(db: Database, claim: Claim) -> None:
    renewed = renew(db, claim, 0, lease_seconds=0.6)
    first = item(db, claim).lease_until
    with Heartbeat(db, claim, lease_seconds=0.6):
        wait_until(lambda: item(db, claim).lease_until > first + timedelta(seconds=0.6))
    assert renewed is LeaseState.HELD


def test_shows_progress_long_before_the_lease_needs_it(db: Database, claim: Claim) -> None:
    with Heartbeat(db, claim, lease_seconds=3600) as heartbeat:
        heartbeat.report(5)
        wait_until(lambda: item(db, claim).progress == 5)


def test_cancelled(db: Database, claim: Claim) -> None:
    with Heartbeat(db, claim, lease_seconds=0.3) as heartbeat:
        heartbeat.report(0)
        request_cancel(db, claim.job_id)
        assert interruption(heartbeat).release


def test_lost_to_another_worker(db: Database, storage: Storage, claim: Claim) -> None:
    sweep(db, storage, clock=lambda: utc_now() + timedelta(days=1))
    other = claim_next(db, "another")
    assert other is not None
    assert other.item_id == claim.item_id
    with Heartbeat(db, claim, lease_seconds=0.3) as heartbeat:
        assert not interruption(heartbeat).release


def test_worker_is_to_stop(db: Database, claim: Claim) -> None:
    with Heartbeat(db, claim, 30, stopping=lambda: True) as heartbeat:
        with pytest.raises(Interrupted, match="stopping") as raised:
            heartbeat.report(1)
        assert raised.value.release


def test_database_gone_for_longer_than_the_lease(claim: Claim) -> None:
    unreachable = Database("sqlite:////nowhere/at/all.sqlite3")
    with Heartbeat(unreachable, claim, lease_seconds=0.3) as heartbeat:
        heartbeat.report(1)
        assert not interruption(heartbeat).release
