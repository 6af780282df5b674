"""The heartbeat: a thread that keeps an item's lease while the main thread works on it."""

import logging
import threading
import time
from collections.abc import Callable
from contextvars import copy_context
from types import TracebackType
from typing import Any, Self

from app.database import Database
from app.jobs.leases import Claim, LeaseState, renew
from worker.liveness import WORK

logger = logging.getLogger(__name__)

PROGRESS_SECONDS = 1.0  # new progress is written no more often than this


class Interrupted(Exception):
    """The work in hand is to be left. ``release``: the lease is still ours, to be given back."""

    def __init__(self, reason: str, *, release: bool) -> None:
        super().__init__(reason)
        self.release = release


class Heartbeat:
    """Renews the lease of ``claim`` from entry to exit, each third of ``lease_seconds`` and sooner
    when there is progress to show.

    ``stopping`` tells whether this worker has been asked to stop. A database that cannot be reached
    is tried again until the lease must have run out; then the item counts as lost.
    """

    def __init__(
        self,
        db: Database,
        claim: Claim,
        lease_seconds: float,
        stopping: Callable[[], bool] = lambda: False,
    ) -> None:
        self._db = db
        self._claim = claim
        self._lease_seconds = lease_seconds
        self._stopping = stopping
        self._progress = 0
        self._live: dict[str, Any] | None = None
        self._state = LeaseState.HELD
        self._left = threading.Event()
        self._thread = threading.Thread(
            target=copy_context().run,  # its log lines are the item's too
            args=(self._beat,),
            name="heartbeat",
            daemon=True,
        )

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self._left.set()
        self._thread.join()

    def report(self, progress: int, live: dict[str, Any] | None = None) -> None:
        """Notes how far the work is (see :class:`app.jobs.tables.Item`); to be called between batches.

        Raises Interrupted if the job was cancelled, the lease lost, or the worker is to stop.
        """
        WORK.beat()
        self._progress, self._live = progress, live
        if self._state is LeaseState.LOST:
            raise Interrupted("the lease was lost", release=False)
        if self._state is LeaseState.CANCELLED:
            raise Interrupted("the job was cancelled", release=True)
        if self._stopping():
            raise Interrupted("the worker is stopping", release=True)

    def _beat(self) -> None:
        renewed, written = time.monotonic(), 0
        interval = self._lease_seconds / 3
        while not self._left.wait(min(PROGRESS_SECONDS, interval)):
            progress, now = self._progress, time.monotonic()
            if progress == written and now - renewed < interval:
                continue
            try:
                self._state = renew(
                    self._db, self._claim, progress, self._lease_seconds, self._live
                )
                renewed, written = now, progress
            except Exception:
                logger.exception("could not renew the lease of item %d", self._claim.item_id)
                if now - renewed > self._lease_seconds:
                    self._state = LeaseState.LOST
            # What was cancelled may take a while to be left: a slice saves its checkpoint first.
            if self._state is LeaseState.LOST:
                return
