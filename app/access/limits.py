"""How many requests an owner may make."""

from datetime import datetime
from math import ceil

from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.orm import Session

from app.access.caller import Caller
from app.access.tables import Allowance
from app.deps import Services
from app.errors import ProblemError
from app.problems import LIMIT_EXCEEDED


def count_request(services: Services, caller: Caller) -> None:
    """Take one request off the owner's allowance, a token bucket that all API processes share.

    Only for requests that cost more than the transaction that this takes: a script may watch its
    job as often as it likes.

    Raises:
        ProblemError: there is none left; Retry-After says when there will be one.
    """
    if not caller.owner:
        return
    most = services.settings.requests_per_minute
    per_second = most / 60
    with services.db.write() as session:
        now = services.clock()
        allowance = lock_allowance(session, caller.owner, most, now)
        # The clock of another process may be a little ahead.
        passed = max(0.0, (now - allowance.counted_at).total_seconds())
        left = min(most, allowance.requests + passed * per_second)
        if left < 1:
            raise ProblemError(
                LIMIT_EXCEEDED,
                f"{most} orders, uploads, training runs, evaluations, quotes and contact sheets a "
                "minute are allowed.",
                headers={"Retry-After": str(ceil((1 - left) / per_second))},
                limit="requests_per_minute",
                allowed=most,
            )
        allowance.requests = left - 1
        allowance.counted_at = now


def lock_allowance(session: Session, owner: str, most: int, now: datetime) -> Allowance:
    """The owner's allowance, a full one if there was none, locked until the transaction ends."""
    dialect = session.get_bind().dialect.name
    session.execute(
        (postgresql if dialect == "postgresql" else sqlite)
        .insert(Allowance)
        .values(owner=owner, requests=most, counted_at=now)
        .on_conflict_do_nothing()
    )
    return session.get_one(Allowance, owner, with_for_update=True)
