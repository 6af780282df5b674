"""What users get when they upload maps or pairs."""

from datetime import datetime
from typing import Annotated, Literal

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field

from app.jobs.schemas import JobError, Positive, Timestamps, whole
from app.jobs.tables import JobStatus

Contents = Literal["maps", "pairs"]


class Conversion(BaseModel):
    """What was changed in a file to make it what it is used as."""

    file: str
    done: str = Field(examples=["EXIF rotation applied"])


class Warned(BaseModel):
    """What may be wrong with a file that is used all the same."""

    file: str
    code: str = Field(description="A short word for programs.", examples=["label_off"])
    detail: str


class UnlabelledPhotograph(BaseModel):
    """One photograph without a label, for training."""

    number: int = Field(description="From the number of pairs on, in the order of the names.")
    image: str = Field(description="Name of the photograph in the zip.")
    width: int = Field(description="Pixels.")
    height: int
    field_confidence: float | None = Field(
        default=None, description="How sure the field of view found in the photograph is, 0 to 1."
    )
    conversions: list[Conversion]
    warnings: list[Warned] = []


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
    field_confidence: float | None = Field(
        default=None,
        description="How sure the field of view found in the photograph is, 0 to 1; null with a mask.",
    )
    conversions: list[Conversion]
    warnings: list[Warned] = Field(default=[], description="What may be wrong with its files.")


class RefusedFile(BaseModel):
    """One file that is not used, and why; what belongs to it is not used either."""

    file: str
    code: str = Field(description="A short word for programs.", examples=["size_mismatch"])
    detail: str = Field(description="What is wrong, or what would be right.")
    partners: list[str] = Field(
        default=[], description="The files that belong to it and are not used either."
    )


class IgnoredFile(BaseModel):
    """One file that was not looked at."""

    file: str
    reason: str = Field(examples=["not a picture"])


class Report(BaseModel):
    """What was found in the zip: each file is named once."""

    used: list[UsedPicture]
    unlabelled: list[UnlabelledPhotograph] = Field(
        default=[], description="Photographs without labels, if the upload may have them."
    )
    refused: list[RefusedFile]
    ignored: list[IgnoredFile]


MOST_BYTES = 16 << 30  # of a zip that is sent by parts

Level = Annotated[int, Field(ge=0, le=65_535), BeforeValidator(whole)]
Colour = Annotated[str, Field(pattern="^#[0-9a-fA-F]{6}$")]
UNLABELLED = "Whether photographs without a label are taken, too, for training; else each is refused by name."
VESSEL_VALUES = (
    "The values in labels that are vessel: grey levels, palette indices, or colours as #rrggbb. Needed for "
    "labels of several values that are no known convention."
)
IGNORE_VALUE = "The value in labels of pixels to leave out: neither vessel nor field of view."


class PartsOrder(BaseModel):
    """A zip that is to be sent by parts."""

    model_config = ConfigDict(
        extra="forbid",
        strict=True,
        json_schema_extra={"examples": [{"kind": "pairs", "bytes": 3_221_225_472}]},
    )

    kind: Contents = Field(
        description="Bare label maps, to be rendered; or photographs with their label maps."
    )
    bytes: Positive = Field(le=MOST_BYTES, description="Length of the zip.")
    sha256: str | None = Field(
        default=None,
        pattern="^[0-9a-f]{64}$",
        description="SHA-256 of the zip in hexadecimal; another zip is refused when it is checked.",
    )
    unlabelled: bool | None = Field(default=None, description=UNLABELLED, examples=[True])
    vessel_values: list[Level | Colour] | None = Field(
        default=None,
        min_length=1,
        max_length=16,
        description=VESSEL_VALUES,
        examples=[[1, 2], ["#ff0000"]],
    )
    ignore_value: Level | Colour | None = Field(
        default=None, description=IGNORE_VALUE, examples=[255]
    )


class Part(BaseModel):
    """One part that has come."""

    number: int = Field(description="From 1.")
    bytes: int


class PartList(BaseModel):
    """A page of the parts that have come."""

    data: list[Part]
    has_more: bool = Field(description="Whether there are more: ask with after = the last number.")


class PartNumbers(BaseModel):
    """Which parts are to be sent next."""

    model_config = ConfigDict(
        extra="forbid", strict=True, json_schema_extra={"examples": [{"numbers": [1, 2, 3]}]}
    )

    numbers: list[Positive] = Field(min_length=1, max_length=100, description="From 1.")


class PartLink(BaseModel):
    """Where one part goes."""

    number: int
    bytes: int = Field(description="The length that the part must have.")
    url: str = Field(
        description="PUT the part's bytes here. An absolute address is that of the file store, and takes "
        "no API key; a path is one of this service, and takes the key as ever."
    )


class PartLinks(BaseModel):
    """Where parts go."""

    data: list[PartLink]
    expires_at: datetime = Field(description="Until when the addresses hold; then ask again.")


class UploadRequest(BaseModel):
    kind: Contents
    bytes: int | None = Field(
        description="Length of the zip; null while one of unknown length comes as one body."
    )
    sha256: str | None = Field(
        default=None, description="What the zip's SHA-256 must be, where it was given."
    )
    unlabelled: bool | None = Field(default=None, description=UNLABELLED)
    vessel_values: list[int | str] | None = Field(default=None, description=VESSEL_VALUES)
    ignore_value: int | str | None = Field(default=None, description=IGNORE_VALUE)


class PartPlan(BaseModel):
    """How a zip is cut into parts, numbered from 1."""

    size: int = Field(description="Bytes in each part but the last, which has the rest.")
    count: int


class PartProgress(PartPlan):
    """How a zip is cut into parts, and how many have come."""

    received: int


class UploadLinks(BaseModel):
    self: str


class UploadState(BaseModel):
    """An upload and the state of the job that checks it."""

    id: str = Field(examples=["up_4fTqk0hXv1yJb2mZsW9a"])
    kind: Literal["upload"]
    status: JobStatus
    request: UploadRequest
    receiving: bool = Field(
        description="Whether its bytes have not all come yet; the check waits for them."
    )
    count: int = Field(description="Maps or pairs that are good; 0 until they are checked.")
    error: JobError | None = Field(description="Why the upload was refused or given up.")
    links: UploadLinks
    expires_at: datetime | None = Field(
        description="When the pictures will be removed, or, while bytes are awaited, what has come of "
        "them; null while that is not known, or never."
    )
    created_at: datetime
    timestamps: Timestamps


class UploadSummary(UploadState):
    """An upload as lists show it."""

    parts: PartPlan | None = Field(
        description="Of an upload by parts, while these are awaited; null otherwise."
    )


class Upload(UploadState):
    """An upload and what was found in it."""

    parts: PartProgress | None = Field(
        description="Of an upload by parts, while these are awaited; null otherwise."
    )
    report: Report | None = Field(description="Null until the zip has been read.")


class UploadList(BaseModel):
    """A page of uploads, the newest first."""

    data: list[UploadSummary]
    has_more: bool = Field(description="Whether there are more: ask with after = the last id.")
