"""GET /usage."""

from datetime import timedelta
from typing import Annotated

from fastapi import APIRouter, Query

from app.access.caller import Reader
from app.access.schemas import Usage, UsageDay
from app.deps import ServicesDep
from app.jobs.usage import usage_since
from app.openapi import problems
from app.problems import INSUFFICIENT_SCOPE, INVALID_REQUEST, UNAUTHENTICATED, UNAVAILABLE

router = APIRouter(tags=["usage"])


@router.get(
    "/usage",
    summary="See what you have used",
    responses=problems(UNAUTHENTICATED, INSUFFICIENT_SCOPE, INVALID_REQUEST, UNAVAILABLE),
)
def get_usage(
    services: ServicesDep,
    caller: Reader,
    days: Annotated[int, Query(ge=1, le=366, description="How many days, today included.")] = 30,
) -> Usage:
    """Pairs made and seconds of devices, for each day: those of finished shards, and slices of training."""
    first = services.clock().date() - timedelta(days=days - 1)
    with services.db.read() as session:
        rows = usage_since(session, caller.owner, first)
    return Usage(
        owner=caller.owner,
        pairs=sum(row.pairs for row in rows),
        device_seconds=round(sum(row.device_seconds for row in rows), 3),
        days=[
            UsageDay(day=row.day, pairs=row.pairs, device_seconds=round(row.device_seconds, 3))
            for row in rows
        ],
    )
