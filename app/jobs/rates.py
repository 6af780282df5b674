"""What a pair costs in seconds and bytes, learned from the shards that were made."""

from collections.abc import Mapping
from typing import Any

from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.orm import Session

from app.archive.formats import format_name
from app.jobs.tables import Rate

# Weight of the newest shard: about the last ten shards count.
NEWEST = 0.2


def rate_key(order: Mapping[str, Any]) -> tuple[str, int, str]:
    """What the cost of an order's pairs depends on: model, resolution and format."""
    return order["model"], order["resolution"], format_name(order)


def record_rate(
    session: Session, request: dict[str, Any], pairs: int, seconds: float, size: int
) -> None:
    """Take a finished shard of ``pairs`` pairs into the averages of its kind."""
    model, resolution, image_format = rate_key(request)
    dialect = session.get_bind().dialect.name
    insert = (
        (postgresql if dialect == "postgresql" else sqlite)
        .insert(Rate)
        .values(
            model=model,
            resolution=resolution,
            image_format=image_format,
            seconds_per_pair=seconds / pairs,
            bytes_per_pair=size / pairs,
        )
    )
    new = insert.excluded
    session.execute(
        insert.on_conflict_do_update(
            index_elements=[Rate.model, Rate.resolution, Rate.image_format],
            set_={
                "seconds_per_pair": Rate.seconds_per_pair
                + NEWEST * (new.seconds_per_pair - Rate.seconds_per_pair),
                "bytes_per_pair": Rate.bytes_per_pair
                + NEWEST * (new.bytes_per_pair - Rate.bytes_per_pair),
            },
        )
    )


def add_stages(
    total: Mapping[str, float] | None, pairs: int, seconds: Mapping[str, float]
) -> dict[str, float]:
    """The sum over a job's finished shards, with one more of ``pairs`` pairs in it."""
    shard = {"pairs": pairs, **seconds}
    return shard if total is None else {name: total[name] + shard[name] for name in shard}
