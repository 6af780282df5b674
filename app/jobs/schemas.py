"""What every kind of job takes and shows."""

from datetime import datetime
from typing import Annotated

from pydantic import BaseModel, BeforeValidator, Field

# The largest whole number that every JSON reader keeps exact.
LARGEST_SEED = 2**53 - 1


def whole(value: object) -> object:
    """The number as an int if it is a whole one: to JSON, 4.0 is the same number as 4."""
    return int(value) if isinstance(value, float) and value.is_integer() else value


# Some writers of JSON know only 4.0.
Whole = Annotated[int, BeforeValidator(whole)]
Positive = Annotated[int, Field(ge=1), BeforeValidator(whole)]
Seed = Annotated[int, Field(ge=0, le=LARGEST_SEED), BeforeValidator(whole)]


class JobError(BaseModel):
    code: str = Field(description="A short word for programs.", examples=["worker_lost"])
    detail: str


class QueueEstimate(BaseModel):
    """Of a job that waits for the workers that train, with those before it."""

    seconds_left: float | None = Field(
        description="Of work, until the job ends, that of the jobs before it included; null while the "
        "pace of one of them is not known."
    )
    queue_position: int | None = Field(
        description="1 for the next to begin; null once it has begun."
    )


class Timestamps(BaseModel):
    """When the job entered each state, null if it has not."""

    queued: datetime | None
    running: datetime | None
    packaging: datetime | None
    succeeded: datetime | None
    failed: datetime | None
    cancelling: datetime | None
    cancelled: datetime | None
    expired: datetime | None
