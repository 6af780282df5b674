"""How an upload's job begins: its row first, then its bytes, then its check.

While the bytes are awaited the job is queued, its check waits, and ``expires_at`` says when the
sweeper will give it up. So bytes without a row, which nobody would remove, cannot be.
"""

from datetime import timedelta
from typing import Any, Unpack

from sqlalchemy import delete, update

from app.clock import utc_now
from app.database import Database
from app.jobs.states import lock_job
from app.jobs.tables import Item, ItemKind, ItemState, Job, JobKind
from app.jobs.terms import Terms, new_job

UPLOAD_HOURS = 24  # until all bytes of an upload must have come


def create_upload(
    db: Database,
    upload_id: str,
    *,
    request: dict[str, Any],
    hours: float,
    parts: dict[str, Any] | None = None,
    **terms: Unpack[Terms],
) -> None:
    """Store a job that will check what is sent as ``upload_id``, if all of it comes in ``hours``.

    ``request``: kind, bytes (None if they were not announced) and perhaps sha256; ``parts``: size,
    count and upload, if the bytes come in parts (see :class:`Job`).

    Raises:
        sqlalchemy.exc.IntegrityError: the owner has a job with this idempotency key.
    """
    now = terms.get("clock", utc_now)()
    job = new_job(
        JobKind.UPLOAD,
        request,
        now,
        terms,
        id=upload_id,
        parts=parts,
        expires_at=now + timedelta(hours=hours),
    )
    check = Item(
        job_id=upload_id,
        kind=ItemKind.CHECK,
        ordinal=0,
        first=0,
        count=0,
        state=ItemState.WAITING,
    )
    with db.write() as session:
        session.add(job)
        session.flush()
        session.add(check)


def start_check(db: Database, upload_id: str, size: int) -> bool:
    """Note that all ``size`` bytes are stored: the check is ready. False if they are not awaited."""
    with db.write() as session:
        job = lock_job(session, upload_id)
        if not job.is_receiving:
            return False
        job.request = {**job.request, "bytes": size}
        job.expires_at = None
        session.execute(update(Item).where(Item.job_id == upload_id).values(state=ItemState.READY))
        return True


def forget_upload(db: Database, upload_id: str) -> bool:
    """Remove the row of an upload whose bytes broke off. False if they are not awaited."""
    with db.write() as session:
        job = lock_job(session, upload_id)
        if not job.is_receiving:
            return False
        session.execute(delete(Item).where(Item.job_id == upload_id))
        session.execute(delete(Job).where(Job.id == upload_id))
        return True
