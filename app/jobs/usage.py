"""What each owner has used. Counted when it is made: items go when their job is deleted."""

from collections.abc import Sequence
from datetime import date

from sqlalchemy import select
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.orm import Session

from app.jobs.tables import Usage


def record_usage(session: Session, owner: str, day: date, pairs: int, seconds: float) -> None:
    """Add a finished shard of ``pairs`` pairs, on which a device worked for ``seconds``."""
    dialect = session.get_bind().dialect.name
    insert = (
        (postgresql if dialect == "postgresql" else sqlite)
        .insert(Usage)
        .values(owner=owner, day=day, pairs=pairs, device_seconds=seconds)
    )
    session.execute(
        insert.on_conflict_do_update(
            index_elements=[Usage.owner, Usage.day],
            set_={
                "pairs": Usage.pairs + insert.excluded.pairs,
                "device_seconds": Usage.device_seconds + insert.excluded.device_seconds,
            },
        )
    )


def usage_since(session: Session, owner: str, first: date) -> Sequence[Usage]:
    """The owner's use of each day from ``first`` on that has any, the newest first."""
    return session.scalars(
        select(Usage).where(Usage.owner == owner, Usage.day >= first).order_by(Usage.day.desc())
    ).all()
