"""Whether the worker's two processes go on: signs of life that the main process serves.

The main process beats while its loop listens to the broker; while it seeks one, or stops, nothing is
expected of it. A pool process beats from when a message is on its way to it, and with each report
between two batches, until it is done with the item; idle, it rests.
"""

from typing import Any

from celery import Celery, bootsteps
from celery.signals import task_postrun, task_prerun, task_received, worker_process_init
from celery.worker.consumer.tasks import Tasks

from app.observability.pulse import Pulse

BEAT_SECONDS = 1.0

MAIN_LOOP, WORK = Pulse(), Pulse()
PULSES = {"main loop": MAIN_LOOP, "work": WORK}


class Beating(bootsteps.StartStopStep):
    """Runs from when messages are taken to when the connection is lost, or the worker stops."""

    requires = (Tasks,)
    _timer: Any = None

    def start(self, consumer: Any) -> None:
        MAIN_LOOP.beat()
        self._timer = consumer.timer.call_repeatedly(BEAT_SECONDS, MAIN_LOOP.beat)

    def stop(self, consumer: Any) -> None:
        if self._timer is not None:
            self._timer.cancel()
        MAIN_LOOP.rest()

    shutdown = stop


def watch(celery: Celery) -> None:
    """Take the pulses of this application's worker."""
    celery.steps["consumer"].add(Beating)
    for signal in (task_received, task_prerun):
        signal.connect(_begin)
    for signal in (task_postrun, worker_process_init):  # the second: what was in hand died with it
        signal.connect(_end)


def _begin(**_: Any) -> None:
    WORK.beat()


def _end(**_: Any) -> None:
    WORK.rest()
