"""The one task. A thin shell: the work itself is in :mod:`worker.item`."""

from app.broker import send_hints
from app.settings import get_settings
from worker.celery_app import celery, is_stopping


@celery.task(name="fundusmith.work")
def work() -> None:
    """Does one item, if there is one, and passes the word on that there may be more."""
    # Imported here, in the pool's child: torch and CUDA do not survive a fork of their process.
    from worker.item import this_worker

    if this_worker(is_stopping).work():
        send_hints(get_settings(), 1)
