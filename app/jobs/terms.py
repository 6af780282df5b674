"""What jobs of all kinds begin with: the terms they are stored on, and the row made of them."""

import secrets
from dataclasses import dataclass
from datetime import datetime
from typing import Any, TypedDict

from app.clock import Clock
from app.jobs.tables import Job, JobKind, JobStatus

_PREFIXES = {
    JobKind.DATASET: "ds",
    JobKind.UPLOAD: "up",
    JobKind.TRAINING: "tr",
    JobKind.EVALUATION: "ev",
}


@dataclass(frozen=True)
class Idempotency:
    """What marks an order as the repetition of another: its sender's key, and what was ordered."""

    key: str
    order_digest: str


class Terms(TypedDict, total=False):
    """What a job of any kind may be given."""

    owner: str  # whose it is; "" where no keys are asked for
    max_attempts: int  # at each of its items, 3
    retention_seconds: float | None  # from its end to its expiry; None: for ever
    idempotency: Idempotency | None
    clock: Clock


def new_id(kind: JobKind) -> str:
    """An id that no job has, and nobody can guess."""
    return f"{_PREFIXES[kind]}_{secrets.token_urlsafe(15)}"


def new_job(
    kind: JobKind, request: dict[str, Any], now: datetime, terms: Terms, **columns: Any
) -> Job:
    """The row of a job that is queued ``now``, not yet stored; ``columns`` are those of its kind.

    Storing it raises sqlalchemy.exc.IntegrityError if the owner has a job with this idempotency key.
    """
    idempotency = terms.get("idempotency")
    given = {"package_digest": "", "count": 0, "shard_pairs": 0, **columns}
    job = Job(
        **{"id": new_id(kind), **given},
        kind=kind,
        owner=terms.get("owner", ""),
        request=request,
        max_attempts=terms.get("max_attempts", 3),
        retention_seconds=terms.get("retention_seconds"),
        idempotency_key=idempotency and idempotency.key,
        order_digest=idempotency and idempotency.order_digest,
        created_at=now,
    )
    job.enter(JobStatus.QUEUED, now)
    return job
