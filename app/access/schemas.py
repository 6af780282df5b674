"""What the service tells about usage."""

import datetime

from pydantic import BaseModel, Field


class UsageDay(BaseModel):
    """One day's use."""

    day: datetime.date = Field(description="The day (UTC) on which the pairs were finished.")
    pairs: int = Field(description="Pairs that were made, whatever became of their data sets.")
    device_seconds: float = Field(description="How long devices worked on pairs, and on training.")


class Usage(BaseModel):
    """Use by the owner of the API key, or by nobody in particular where access is off."""

    owner: str = Field(description="Empty where access is off.")
    pairs: int = Field(description="Sum of the days listed.")
    device_seconds: float = Field(description="Sum of the days listed.")
    days: list[UsageDay] = Field(description="The newest first; days without use are left out.")
