"""Whether the parts that the service needs can be used now, found out in bounded time."""

import logging
import threading
import time
from collections.abc import Callable, Mapping
from typing import Literal

from prometheus_client import Gauge
from sqlalchemy import text

from app.broker import queue_depth
from app.database import Database
from app.settings import Settings
from app.storage import Storage

logger = logging.getLogger(__name__)

LONGEST_SECONDS = 3.0  # a probe gives up soon after that

State = Literal["ready", "failing"]

READY = Gauge(
    "fundusmith_ready",
    "Whether the part (database, broker, storage) could be used when that was last tried: 1 or 0.",
    ["part"],
)


class Check:
    """Tries one part, in a thread that may hang for as long as the part does.

    There is never a second thread for one part: who asks meanwhile waits for the first.
    """

    def __init__(self, part: str, look: Callable[[], None]) -> None:
        self._part = part
        self._look = look
        self._lock = threading.Lock()
        self._thread = threading.Thread()
        self._state: State = "failing"
        self._ended = float("-inf")

    def start(self, fresh_seconds: float) -> None:
        """Begin to try, unless that goes on or has ended within these seconds."""
        with self._lock:
            if not self._thread.is_alive() and time.monotonic() - self._ended >= fresh_seconds:
                self._thread = threading.Thread(target=self._try, name=self._part, daemon=True)
                self._thread.start()

    def state_by(self, deadline: float) -> State:
        """What the trying has found, "failing" if nothing by then (time.monotonic())."""
        if self._thread.ident is not None:
            self._thread.join(max(0.0, deadline - time.monotonic()))
        hangs = self._thread.is_alive()
        if hangs:
            logger.warning("Not ready: the %s does not answer", self._part)
        state: State = "failing" if hangs else self._state
        READY.labels(self._part).set(state == "ready")
        return state

    def _try(self) -> None:
        try:
            self._look()
        except Exception as error:
            logger.warning("Not ready: the %s said %r", self._part, error)
            self._state = "failing"
        else:
            self._state = "ready"
        self._ended = time.monotonic()


class Readiness:
    """Tries all parts at the same time."""

    def __init__(self, settings: Settings, db: Database, storage: Storage) -> None:
        def look_at_database() -> None:
            with db.read() as session:
                session.execute(text("SELECT 1"))

        def look_at_broker() -> None:
            queue_depth(settings)

        def look_at_storage() -> None:
            with storage.write("health/probe") as file:
                file.write(b"ready")

        self._checks = {
            "database": Check("database", look_at_database),
            "broker": Check("broker", look_at_broker),
            "storage": Check("storage", look_at_storage),
        }

    def states(self, fresh_seconds: float = 0.0) -> Mapping[str, State]:
        """The state of each part, within LONGEST_SECONDS; one found within ``fresh_seconds`` will do."""
        deadline = time.monotonic() + LONGEST_SECONDS
        for check in self._checks.values():
            check.start(fresh_seconds)
        return {part: check.state_by(deadline) for part, check in self._checks.items()}
