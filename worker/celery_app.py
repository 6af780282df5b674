"""The Celery application: ``celery -A worker.celery_app worker --queues generate`` (or ``train``).

A message says only that there is work; the database says which. So a message may be lost or come
twice without harm, and there is nothing to acknowledge: a message is gone once it is fetched, which
a worker does only when it is free. (With acknowledgement, a broker that dies between delivery and
acknowledgement leaves a worker that counts one message as unfinished and never fetches another.)
"""

import worker.multiprocess_metrics  # noqa: F401  before prometheus_client is imported

# isort: split
import logging
import os
from multiprocessing.sharedctypes import RawValue
from typing import Any

import billiard.pool
from celery import Celery
from celery.signals import (
    setup_logging,
    worker_init,
    worker_process_shutdown,
    worker_shutting_down,
)
from kombu import Queue
from prometheus_client import REGISTRY
from prometheus_client.multiprocess import MultiProcessCollector

from app.jobs.tables import Role
from app.observability.health import serve_health
from app.observability.logs import set_up_logging
from app.observability.tracing import stop_tracing
from app.settings import get_settings
from worker import metrics  # noqa: F401  their series are there from the start
from worker.liveness import PULSES, watch

celery = Celery("fundusmith", broker=get_settings().resolved_broker_url, include=["worker.tasks"])
celery.conf.update(
    accept_content=["json"],
    broker_connection_max_retries=None,
    broker_connection_retry_on_startup=True,
    task_default_queue=Role.GENERATE.value,
    task_ignore_result=True,
    task_queues=[Queue(role.value, no_ack=True) for role in Role],
    task_serializer="json",
    worker_cancel_long_running_tasks_on_connection_loss=False,  # the lease says who works
    worker_concurrency=1,
    worker_disable_prefetch=True,
    worker_enable_remote_control=False,
    worker_pool="prefork",
)

watch(celery)
MultiProcessCollector(REGISTRY)

# At its end a pool process waits for its parent to count its results, up to 30 s, and now and then
# the parent has miscounted (billiard 4.3). There are no results here that could get lost.
billiard.pool.GUARANTEE_MESSAGE_CONSUMPTION_RETRY_LIMIT = 10  # times 0.1 s

# Shared by the main process, which gets the signal to stop, with its forked child, which works.
_stopping = RawValue("b", 0)


def is_stopping() -> bool:
    """Whether this worker has been asked to stop: the item in hand is then given back."""
    return bool(_stopping.value)


@worker_init.connect
def _serve_health(**_: Any) -> None:
    serve_health(get_settings(), PULSES)


@worker_shutting_down.connect
def _note_stop(**_: Any) -> None:
    _stopping.value = 1


@worker_process_shutdown.connect
def _leave(exitcode: int | None = None, **_: Any) -> None:
    """Spares a worker that stops the second for which its pool process waits to have its end noted
    (billiard 4.3): what it was to hand over, it has handed over before."""
    stop_tracing()
    if is_stopping():
        os._exit(exitcode or 0)


@setup_logging.connect
def _set_up_logging(loglevel: int = logging.INFO, **_: Any) -> None:
    set_up_logging(get_settings(), loglevel or logging.INFO)
    # Two lines a message that say no more than the worker's own about the item.
    for name in ("celery.worker.strategy", "celery.app.trace"):
        logging.getLogger(name).setLevel(logging.WARNING)
