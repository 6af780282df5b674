"""What every kind of job shows of itself."""

from datetime import datetime

from pydantic import BaseModel, Field


class JobError(BaseModel):
    code: str = Field(description="A short word for programs.", examples=["worker_lost"])
    detail: str


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
