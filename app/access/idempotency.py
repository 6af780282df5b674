"""Idempotency-Key: an order that is sent again is answered with the job of the first."""

import hashlib
import json
from collections.abc import Callable
from typing import Annotated

from pydantic import AfterValidator, BaseModel, WithJsonSchema
from sqlalchemy import select
from sqlalchemy.exc import IntegrityError

from app.access.caller import Caller
from app.deps import Services
from app.errors import ProblemError, invalid_parameter
from app.jobs.tables import Job
from app.jobs.terms import Idempotency
from app.problems import CONFLICT, MALFORMED_REQUEST

LONGEST_KEY = 255


def plain_key(key: str) -> str:
    """The idempotency key, without the quotes that the header's draft standard puts around it.

    Raises:
        ProblemError: it cannot be used.
    """
    plain = key[1:-1] if len(key) > 1 and key[0] == key[-1] == '"' else key
    if not 1 <= len(plain) <= LONGEST_KEY or not (plain.isascii() and plain.isprintable()):
        raise ProblemError(
            MALFORMED_REQUEST,
            f"Idempotency-Key: {len(plain)} characters; use 1 to {LONGEST_KEY} printable ASCII ones.",
        )
    return plain


# The pattern is only described: a key that does not meet it has a problem of its own.
IdempotencyKey = Annotated[
    str,
    AfterValidator(plain_key),
    WithJsonSchema(
        {"type": "string", "maxLength": LONGEST_KEY, "pattern": "^[!-~]([ -~]*[!-~])?$"}
    ),
]


def place_once(
    services: Services,
    caller: Caller,
    order: BaseModel,
    key: str | None,
    place: Callable[[Idempotency | None], str],
) -> str:
    """The id of the job that ``place`` stores for the order.

    With a key (a plain one) that the same owner placed an equal order with, nothing is placed, and the
    id is that order's.

    Raises:
        ProblemError: the key was used for another order, or what ``place`` raises.
    """
    if key is None:
        return place(None)
    idempotency = Idempotency(key, _digest_of(order))
    if first := _job_of(services, caller, idempotency):
        return first
    try:
        return place(idempotency)
    except (IntegrityError, ProblemError):
        # The same order may have come twice at once, and the other one was first.
        if first := _job_of(services, caller, idempotency):
            return first
        raise


def _digest_of(order: BaseModel) -> str:
    """SHA-256 of what was sent, however its JSON was written."""
    sent = json.dumps(order.model_dump(mode="json", exclude_unset=True), sort_keys=True)
    return hashlib.sha256(sent.encode()).hexdigest()


def _job_of(services: Services, caller: Caller, idempotency: Idempotency) -> str | None:
    """The job that the caller's owner ordered with this key, if any.

    Raises:
        ProblemError: it was another order's, or the job was deleted.
    """
    same = (Job.owner == caller.owner, Job.idempotency_key == idempotency.key)
    with services.db.read() as session:
        job = session.scalar(select(Job).where(*same))
    if job is None:
        return None
    if job.order_digest != idempotency.order_digest:
        raise invalid_parameter("Idempotency-Key", "Another order was placed with this key.")
    if job.deleted_at is not None:
        raise ProblemError(CONFLICT, "What was ordered with this Idempotency-Key has been deleted.")
    return job.id
