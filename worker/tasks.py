"""The one task. A thin shell: the work itself is in :mod:`worker.item`."""

from celery import Task

from app.broker import send_hints
from app.jobs.tables import Role
from app.settings import get_settings
from worker.celery_app import celery, is_stopping


@celery.task(name="fundusmith.work", bind=True)
def work(self: Task) -> None:
    """Does one item, if there is one, and passes the word on that there may be more.

    The queue that the hint came by says of what role the item is to be.
    """
    role = Role(self.request.delivery_info["routing_key"])
    # Imported here, in the pool's child: torch and CUDA do not survive a fork of their process.
    from worker.item import this_worker

    if this_worker(is_stopping).work(role):
        send_hints(get_settings(), 1, role)
