"""Hints to the workers. A message carries no work: it says only that there is some in the database.

So a lost message, or a lost broker, loses nothing: the sweeper sends hints again.
"""

import logging
from functools import lru_cache

from celery import Celery

from app.jobs.tables import Role
from app.settings import Settings

logger = logging.getLogger(__name__)

HINT_TASK = "fundusmith.work"
MOST_HINTS = 16
TIMEOUT_SECONDS = 2


def send_hints(settings: Settings, count: int, role: Role = Role.GENERATE) -> int:
    """Send ``count`` hints (at most 16 are ever of use) to the workers of a role.

    A broker that cannot be reached is logged and otherwise ignored. Returns how many were sent.
    """
    sender = _sender(settings.resolved_broker_url)
    sent = 0
    try:
        while sent < min(count, MOST_HINTS):
            sender.send_task(HINT_TASK, queue=role.value, retry=False, ignore_result=True)
            sent += 1
    except Exception as error:
        logger.warning("No hint sent, the sweeper will send one: the broker said %r", error)
    return sent


def queue_depth(settings: Settings, role: Role = Role.GENERATE) -> int:
    """Number of hints that no worker of the role has taken yet.

    Raises:
        Exception: the broker cannot be reached, or refuses; the class is its driver's.
    """
    with _sender(settings.resolved_broker_url).pool.acquire() as connection:
        return connection.default_channel.client.llen(role.value)


@lru_cache
def _sender(url: str) -> Celery:
    return Celery(
        "fundusmith",
        broker=url,
        set_as_current=False,
        broker_connection_timeout=TIMEOUT_SECONDS,
        broker_transport_options={
            "socket_timeout": TIMEOUT_SECONDS,
            "socket_connect_timeout": TIMEOUT_SECONDS,
            "max_retries": 1,
            "interval_start": 0,
        },
    )
