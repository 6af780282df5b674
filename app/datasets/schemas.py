"""What users send and get when they order a data set."""

from datetime import datetime
from typing import Any, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, model_validator

from app.jobs.schemas import JobError, Positive, Seed, Timestamps
from app.jobs.tables import LONGEST_URL, DeliveryState, JobStatus

Layout = Literal["imagefolder", "drive"]


class Splits(BaseModel):
    """Shares of the pairs; together 1."""

    model_config = ConfigDict(extra="forbid", strict=True)

    train: float = Field(ge=0, le=1)
    val: float = Field(default=0.0, ge=0, le=1)
    test: float = Field(default=0.0, ge=0, le=1)

    @model_validator(mode="after")
    def _check_sum(self) -> Self:
        total = self.train + self.val + self.test
        if abs(total - 1) > 1e-6:
            raise ValueError(f"the shares must add up to 1, these are {total:g}")
        return self


class Webhook(BaseModel):
    """Who is told when the job has ended."""

    model_config = ConfigDict(extra="forbid", strict=True)

    url: str = Field(
        max_length=LONGEST_URL,
        description="Gets a signed POST (Standard Webhooks) when the job succeeds, fails, is "
        "cancelled or expires; tried again for 3 days. HTTPS, on a public address.",
        examples=["https://example.org/hooks/fundusmith"],
    )


class DatasetOrder(BaseModel):
    """An order. Only ``count`` is required."""

    model_config = ConfigDict(
        extra="forbid",
        strict=True,
        json_schema_extra={"examples": [{"count": 100, "resolution": 256, "seed": 7}]},
    )

    count: Positive = Field(description="Number of pairs.")
    resolution: Positive | None = Field(
        default=None,
        description="Side length in pixels, one that the model lists; its largest if not given.",
    )
    model: str | None = Field(
        default=None,
        description="name@version, or a name for its highest version; the default model if not "
        "given.",
        examples=["chase-256"],
    )
    seed: Seed | None = Field(
        default=None,
        description="The same order with the same seed gives the same pictures; drawn, and "
        "recorded, if not given.",
    )
    splits: Splits | None = Field(
        default=None,
        description="Folders train/, val/ and test/ in the archive, by share; all in train/ if not "
        "given. A pair's split depends on its index alone.",
        examples=[{"train": 0.8, "val": 0.1, "test": 0.1}],
    )
    layout: Layout | None = Field(
        default=None,
        description="Names of folders and files: as Hugging Face datasets reads them (imagefolder, "
        "if not given) or as in DRIVE (images/, 1st_manual/, mask/).",
    )
    webhook: Webhook | None = Field(default=None, description="Who is told of the job's end.")


class DatasetRequest(BaseModel):
    """An order with everything filled in."""

    count: int
    resolution: int
    model: str = Field(description="name@version")
    seed: Seed
    splits: Splits | None = None
    layout: Layout | None = None


class Quote(BaseModel):
    """What an order would cost. Nothing has been ordered."""

    request: DatasetRequest
    seconds: float = Field(description="Working time of one worker.")
    bytes: int = Field(description="Size of the archive.")
    basis: Literal["measured", "package"] = Field(
        description="Whether this service has measured it, or the package's figures are used."
    )


class Progress(BaseModel):
    """Numbers of pairs."""

    requested: int
    generated: int
    packaged: int


class Rates(BaseModel):
    """Pairs a second that each stage could make if it were alone, from the finished shards.

    The stages overlap: a worker is as fast as the slowest of them.
    """

    generate: float = Field(description="The networks.")
    encode: float = Field(description="Image compression, on all its threads.")
    upload: float = Field(description="Hashing, and writing to the storage.")


class Estimate(BaseModel):
    seconds_left: float | None = Field(description="Until the archive is there, if it will be.")
    queue_position: int | None = Field(
        description="1 for the next to begin; null once it has begun."
    )
    bytes: int | None = Field(description="Size of the archive: exact once it is there.")


class Archive(BaseModel):
    bytes: int
    manifest_sha256: str = Field(
        description="SHA-256 of the archive's manifest.json, which lists that of every other file."
    )


class Links(BaseModel):
    self: str
    download: str | None = Field(description="The archive, once it is there.")
    events: str = Field(description="Server-sent events: the job again, each time it changes.")
    preview: str = Field(description="A contact sheet, as soon as a few pairs are there.")
    cancel: str | None = Field(description="POST here to cancel, while there is anything to.")


class DeliveryReport(BaseModel):
    """What became of one event."""

    event: str = Field(examples=["dataset.succeeded"])
    state: DeliveryState
    attempts: int
    last_error: str | None = Field(description="Why the last attempt failed.")


class WebhookReport(BaseModel):
    url: str
    deliveries: list[DeliveryReport]


class Dataset(BaseModel):
    """An ordered data set and the state of the job that makes it."""

    id: str = Field(examples=["ds_4fTqk0hXv1yJb2mZsW9a"])
    kind: Literal["dataset"]
    status: JobStatus
    request: DatasetRequest
    progress: Progress
    rates: Rates | None = Field(description="Null until the first pairs are there.")
    estimate: Estimate
    archive: Archive | None = Field(
        description="Null until there is one: of all pairs, or of those finished when the job was "
        "cancelled."
    )
    package_digest: str = Field(description="SHA-256 of the model package's package.json.")
    environment: dict[str, Any] | None = Field(
        description="Library versions, device and precision for which the same order gives the "
        "same bytes; null until the first pairs are there."
    )
    error: JobError | None = Field(description="Why the job failed.")
    links: Links
    webhook: WebhookReport | None = Field(description="Null if the order named none.")
    expires_at: datetime | None = Field(
        description="When the files will be removed; null while that is not known, or never."
    )
    created_at: datetime
    timestamps: Timestamps


class DatasetList(BaseModel):
    """A page of data sets, the newest first."""

    data: list[Dataset]
    has_more: bool = Field(description="Whether there are more: ask with after = the last id.")
