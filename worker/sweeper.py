"""The sweeper: ``python -m worker.sweeper``. Puts right what got lost on the way.

Every few seconds it returns items whose worker went silent, moves on jobs that got stuck, and sends
new hints where items wait although the queue is empty.
"""

import logging
import signal
import threading
from datetime import timedelta

from prometheus_client import Counter, Gauge, Summary

from app.broker import queue_depth, send_hints
from app.clock import utc_now
from app.database import Database, open_database
from app.jobs.sweep import SweepReport, sweep
from app.jobs.tables import Role
from app.jobs.uploads import UPLOAD_HOURS
from app.observability.health import serve_health
from app.observability.logs import set_up_logging
from app.observability.pulse import Pulse
from app.registry.stored import purge_models
from app.settings import Settings, get_settings
from app.storage import Storage, open_storage

UNFINISHED = timedelta(hours=UPLOAD_HOURS)  # a write that began so long ago has been abandoned
CLEANING = timedelta(hours=1)  # from one look for them to the next

SWEEPS = Counter("fundusmith_sweeps", "Sweeps, by outcome: done or failed.", ["outcome"])
SWEEP_SECONDS = Summary("fundusmith_sweep_seconds", "Seconds that sweeps took.")
LAST_SWEEP = Gauge(
    "fundusmith_last_sweep_timestamp_seconds", "When a sweep was last done (Unix time)."
)
EXPIRED = Counter(
    "fundusmith_leases_expired", "Items taken from workers that had stopped reporting."
)
HINTS = Counter(
    "fundusmith_hints_sent",
    "Hints sent anew, for items that waited although the queue of their role was empty.",
    ["role"],
)
for role in Role:
    HINTS.labels(role)
for outcome in ("done", "failed"):
    SWEEPS.labels(outcome)

PULSE = Pulse()

logger = logging.getLogger(__name__)


def sweep_once(settings: Settings, db: Database, storage: Storage) -> None:
    """One round. Raises whatever database or broker raise when they cannot be reached."""
    report = sweep(db, storage)
    EXPIRED.inc(report.expired)
    if report != SweepReport(ready=report.ready):
        logger.info("swept: %s", report)
    for role, ready in report.ready.items():
        if queue_depth(settings, role) == 0:
            HINTS.labels(role).inc(send_hints(settings, ready, role))
    if count := purge_models(db, storage):
        logger.info("removed %d deleted models", count)


def run(settings: Settings, stop: threading.Event) -> None:
    """Sweeps until ``stop`` is set, through any outage; each outage is logged once."""
    db, storage = open_database(settings), open_storage(settings)
    outage = ""
    next_cleaning = utc_now()
    LAST_SWEEP.set_to_current_time()  # what follows it is late, not what went before
    while not stop.wait(settings.sweep_seconds):
        PULSE.beat()
        try:
            with SWEEP_SECONDS.time():
                sweep_once(settings, db, storage)
            if utc_now() >= next_cleaning:
                next_cleaning = utc_now() + CLEANING
                if count := storage.discard_unfinished(utc_now() - UNFINISHED):
                    logger.info("removed what was left of %d writes", count)
        except Exception as error:
            SWEEPS.labels("failed").inc()
            if outage != (outage := str(error)):
                logger.exception("could not sweep; trying again until it works")
        else:
            SWEEPS.labels("done").inc()
            LAST_SWEEP.set_to_current_time()
            if outage:
                logger.info("sweeping again")
            outage = ""


def main() -> None:
    settings = get_settings()
    set_up_logging(settings)
    stop = threading.Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, lambda *_: stop.set())
    serve_health(settings, {"sweeps": PULSE})
    run(settings, stop)


if __name__ == "__main__":
    main()
