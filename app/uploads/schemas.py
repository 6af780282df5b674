"""What users get when they upload maps or pairs."""

from datetime import datetime
from typing import Literal

from pydantic import BaseModel, Field

from app.jobs.schemas import JobError, Timestamps
from app.jobs.tables import JobStatus

Contents = Literal["maps", "pairs"]


class Conversion(BaseModel):
    """What was changed in a file to make it what it is used as."""

    file: str
    done: str = Field(examples=["EXIF rotation applied"])


class UsedPicture(BaseModel):
    """One map, or one pair, that is good."""

    number: int = Field(description="From 0, in the order of the names.")
    image: str | None = Field(description="Name of the photograph in the zip; null for maps.")
    label: str = Field(description="Name of the label map in the zip.")
    mask: str | None = Field(description="Name of the mask in the zip, if there is one.")
    width: int = Field(description="Pixels.")
    height: int
    vessel_share: float = Field(
        description="Of the field of view, 0 to 1; of the whole map if its field is not known."
    )
    conversions: list[Conversion]


class RefusedFile(BaseModel):
    """One file that is not used, and why; what belongs to it is not used either."""

    file: str
    code: str = Field(description="A short word for programs.", examples=["size_mismatch"])
    detail: str = Field(description="What is wrong, or what would be right.")


class IgnoredFile(BaseModel):
    """One file that was not looked at."""

    file: str
    reason: str = Field(examples=["not a picture"])


class Report(BaseModel):
    """What was found in the zip, file by file."""

    used: list[UsedPicture]
    refused: list[RefusedFile]
    ignored: list[IgnoredFile]


class UploadRequest(BaseModel):
    kind: Contents
    bytes: int = Field(description="Length of the zip.")


class UploadLinks(BaseModel):
    self: str


class UploadSummary(BaseModel):
    """An upload and the state of the job that checks it."""

    id: str = Field(examples=["up_4fTqk0hXv1yJb2mZsW9a"])
    kind: Literal["upload"]
    status: JobStatus
    request: UploadRequest
    count: int = Field(description="Maps or pairs that are good; 0 until they are checked.")
    error: JobError | None = Field(description="Why the upload was refused.")
    links: UploadLinks
    expires_at: datetime | None = Field(
        description="When the pictures will be removed; null while that is not known, or never."
    )
    created_at: datetime
    timestamps: Timestamps


class Upload(UploadSummary):
    """An upload and what was found in it."""

    report: Report | None = Field(description="Null until the zip has been read.")


class UploadList(BaseModel):
    """A page of uploads, the newest first."""

    data: list[UploadSummary]
    has_more: bool = Field(description="Whether there are more: ask with after = the last id.")
