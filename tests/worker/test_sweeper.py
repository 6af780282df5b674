"""The sweeper's loop, with a broker that is not there."""

import logging
import threading
from datetime import timedelta

import pytest
from prometheus_client import REGISTRY
from sqlalchemy import select, update

from app.clock import utc_now
from app.database import Database
from app.jobs.leases import Claim
from app.jobs.tables import Item
from app.settings import Settings
from tests.waiting import wait_until
from worker.sweeper import run


def expire(db: Database, claim: Claim) -> None:
    with db.write() as session:
        past = utc_now() - timedelta(seconds=1)
        session.execute(update(Item).where(Item.id == claim.item_id).values(lease_until=past))


def state(db: Database, claim: Claim) -> str:
    with db.read() as session:
        return session.scalars(select(Item.state).where(Item.id == claim.item_id)).one()


def test_sweeps_on_without_a_broker(
    db: Database, claim: Claim, settings: Settings, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO)
    settings = settings.model_copy(
        update={
            "database_url": db.engine.url.render_as_string(),
            "broker_url": "redis://127.0.0.1:1/0",  # nothing listens there
            "sweep_seconds": 0.02,
        }
    )
    expired = REGISTRY.get_sample_value("fundusmith_leases_expired_total")
    stop = threading.Event()
    sweeper = threading.Thread(target=run, args=(settings, stop))
    sweeper.start()
    try:
        wait_until(lambda: "could not sweep" in caplog.text)
        expire(db, claim)
        wait_until(lambda: state(db, claim) == "ready")
    finally:
        stop.set()
        sweeper.join(20)
    assert not sweeper.is_alive()
    assert caplog.text.count("could not sweep") == 1
    assert expired is not None
    assert REGISTRY.get_sample_value("fundusmith_leases_expired_total") == expired + 1
