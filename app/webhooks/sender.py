"""The sender of webhooks: ``python -m app.webhooks.sender``. Sends the deliveries that are due.

It is a process of its own: however slow receivers are, neither jobs nor requests wait for them.
Several of them may run at once.
"""

import asyncio
import logging
import signal
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from types import TracebackType
from typing import Self

from prometheus_client import Counter

from app.clock import Clock, utc_now
from app.database import Database, open_database
from app.jobs.tables import DeliveryState
from app.observability.context import logged_with
from app.observability.health import serve_health
from app.observability.logs import set_up_logging
from app.observability.pulse import Pulse
from app.settings import Settings, get_settings
from app.webhooks.deliveries import Attempt, Outcome, claim_due, note_outcome
from app.webhooks.requests import open_client, send

MOST_AT_ONCE = 20
POLL_SECONDS = 1.0
STOP_SECONDS = 2.0  # for what is on its way; what is cut off is sent again
OUTCOMES = {
    DeliveryState.DELIVERED: "delivered",
    DeliveryState.PENDING: "retry",
    DeliveryState.FAILED: "failed",
}
# Looking up a host's name takes a thread, and keeps it when it is given up.
THREADS = 3 * MOST_AT_ONCE

ATTEMPTS = Counter(
    "fundusmith_webhook_attempts",
    "Attempts to deliver, by outcome: delivered, retry (will be tried again) or failed (will not).",
    ["outcome"],
)
for each in OUTCOMES.values():
    ATTEMPTS.labels(each)
PULSE = Pulse()

logger = logging.getLogger(__name__)


class Sender:
    """Sends up to MOST_AT_ONCE deliveries at a time; a context manager that holds the client.

    Raises:
        ValueError: the settings hold no secret to sign with.
    """

    def __init__(self, settings: Settings, db: Database, clock: Clock = utc_now) -> None:
        if settings.webhook_secret is None:
            raise ValueError("FUNDUSMITH_WEBHOOK_SECRET is not set: webhooks cannot be signed.")
        self._secret = settings.webhook_secret.get_secret_value()
        self._private_targets = settings.webhook_private_targets
        self._db = db
        self._clock = clock
        self._client = open_client()
        self.sending: set[asyncio.Task[None]] = set()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        # What is cut off here has no outcome: it counts as lost, and is sent again.
        for task in self.sending:
            task.cancel()
        await asyncio.gather(*self.sending, return_exceptions=True)
        await self._client.aclose()

    async def start_due(self) -> int:
        """Begin to send what is due, as far as there is room; returns how many that were."""
        room = MOST_AT_ONCE - len(self.sending)
        if room == 0:
            return 0
        attempts = await asyncio.to_thread(claim_due, self._db, room, self._clock)
        for attempt in attempts:
            task = asyncio.create_task(self._send(attempt))
            self.sending.add(task)
            task.add_done_callback(self.sending.discard)
        return len(attempts)

    async def _send(self, attempt: Attempt) -> None:
        with logged_with(request_id=attempt.request_id, job_id=attempt.job_id):
            await self._send_and_note(attempt)

    async def _send_and_note(self, attempt: Attempt) -> None:
        try:
            outcome = await send(
                self._client, attempt, self._secret, self._private_targets, self._clock
            )
        except Exception:
            logger.exception("the delivery %s could not be sent", attempt.delivery_id)
            outcome = Outcome("The service made a mistake.")
        if outcome.error is not None:
            logger.info(
                "delivery %s, attempt %d: %s", attempt.delivery_id, attempt.number, outcome.error
            )
        try:
            state = await asyncio.to_thread(note_outcome, self._db, attempt, outcome, self._clock)
            ATTEMPTS.labels(OUTCOMES[state]).inc()
        except Exception:
            logger.exception("what became of %s could not be noted", attempt.delivery_id)


async def run(settings: Settings, db: Database, stop: asyncio.Event) -> None:
    """Sends until ``stop`` is set, through any outage of the database; each is logged once."""
    asyncio.get_running_loop().set_default_executor(ThreadPoolExecutor(THREADS))
    outage = ""
    async with Sender(settings, db) as sender:
        while not stop.is_set():
            PULSE.beat()
            try:
                await sender.start_due()
            except Exception as error:
                if outage != (outage := str(error)):
                    logger.exception("could not look for deliveries; trying until it works")
            else:
                outage = ""
            with suppress(TimeoutError):
                await asyncio.wait_for(stop.wait(), POLL_SECONDS)
        if sender.sending:
            await asyncio.wait(sender.sending, timeout=STOP_SECONDS)


async def _run_until_signal(settings: Settings) -> None:
    stop = asyncio.Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        asyncio.get_running_loop().add_signal_handler(number, stop.set)
    await run(settings, open_database(settings), stop)


def main() -> None:
    settings = get_settings()
    set_up_logging(settings)
    serve_health(settings, {"deliveries": PULSE})
    asyncio.run(_run_until_signal(settings))


if __name__ == "__main__":
    main()
