"""How an upload's job begins: its row first, then its bytes, then its check.

While the bytes are awaited the job is queued, its check waits, and ``expires_at`` says when the
sweeper will give it up. So bytes without a row, which nobody would remove, cannot be.
"""

import secrets
from datetime import timedelta
from typing import Any

from sqlalchemy import delete, update

from app.clock import Clock, utc_now
from app.database import Database
from app.jobs.orders import Idempotency
from app.jobs.states import lock_job
from app.jobs.tables import Item, ItemKind, ItemState, Job, JobKind, JobStatus


def new_upload_id() -> str:
    """An id for :func:`create_upload`."""
    return f"up_{secrets.token_urlsafe(15)}"


def create_upload(
    db: Database,
    upload_id: str,
    *,
    request: dict[str, Any],
    hours: float,
    parts: dict[str, Any] | None = None,
    owner: str = "",
    max_attempts: int = 3,
    retention_seconds: float | None = None,
    idempotency: Idempotency | None = None,
    clock: Clock = utc_now,
) -> None:
    """Store a job that will check what is sent as ``upload_id``, if all of it comes in ``hours``.

    ``request``: kind, bytes (None if they were not announced) and perhaps sha256; ``parts``: size,
    count and upload, if the bytes come in parts (see :class:`Job`).

    Raises:
        sqlalchemy.exc.IntegrityError: the owner has a job with this idempotency key.
    """
    now = clock()
    job = Job(
        id=upload_id,
        kind=JobKind.UPLOAD,
        owner=owner,
        request=request,
        parts=parts,
        package_digest="",
        count=0,
        shard_pairs=0,
        max_attempts=max_attempts,
        retention_seconds=retention_seconds,
        idempotency_key=idempotency and idempotency.key,
        order_digest=idempotency and idempotency.order_digest,
        created_at=now,
        expires_at=now + timedelta(hours=hours),
    )
    job.enter(JobStatus.QUEUED, now)
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
