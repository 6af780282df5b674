"""What users send and get when they order a data set."""

import re
from datetime import UTC, datetime
from typing import Annotated, Any, Literal, Self

from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, Field, model_validator

from app.archive.plan import VOLUME_PAIRS
from app.jobs.schemas import JobError, Positive, Seed, Timestamps, whole
from app.jobs.tables import LONGEST_URL, DeliveryState, JobStatus
from app.registry.schemas import MaskName

RFC3339 = re.compile(r"\d{4}-\d\d-\d\d[Tt]\d\d:\d\d:\d\d(\.\d+)?([Zz]|[+-]\d\d:\d\d)", re.ASCII)


def _time(value: object) -> datetime:
    try:
        if isinstance(value, str) and RFC3339.fullmatch(value):
            return datetime.fromisoformat(value.upper()).astimezone(UTC)
    except (ValueError, OverflowError):
        pass
    raise ValueError("use a time with its zone (RFC 3339), as in 2026-12-01T18:00:00Z")


Layout = Literal["imagefolder", "drive", "webdataset"]
ImageFormat = Literal["png", "jpeg", "tiff"]
Eye = Literal["left", "right"]
Lesions = Literal["none", "mixed", "all"]
Time = Annotated[datetime, BeforeValidator(_time)]  # with a zone; kept in UTC


def _without_duplicates(masks: list[MaskName]) -> list[MaskName]:
    if len(set(masks)) < len(masks):
        raise ValueError("name each mask once")
    return masks


Masks = Annotated[
    list[MaskName],
    AfterValidator(_without_duplicates),
    Field(max_length=2, json_schema_extra={"uniqueItems": True}),
]
VolumePairs = Annotated[int, Field(ge=1, le=VOLUME_PAIRS), BeforeValidator(whole)]


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


class VesselShare(BaseModel):
    """Vessel pixels per pixel of the field of view."""

    model_config = ConfigDict(extra="forbid", strict=True)

    min: float | None = Field(default=None, ge=0, le=1)
    max: float | None = Field(default=None, ge=0, le=1)

    @model_validator(mode="after")
    def _check_range(self) -> Self:
        if self.min is None and self.max is None:
            raise ValueError("give min, max or both")
        if self.min is not None and self.max is not None and self.min > self.max:
            raise ValueError(f"min, {self.min:g}, must not be above max, {self.max:g}")
        return self


class MinimumQuality(BaseModel):
    """What a pair must have at least; give one or more."""

    model_config = ConfigDict(extra="forbid", strict=True)

    contrast: float | None = Field(
        default=None,
        ge=0,
        le=255,
        description="Grey levels of 255 by which vessels are darker than their rim, in the green "
        "channel.",
    )
    connected: float | None = Field(
        default=None,
        ge=0,
        le=1,
        description="Share of the vessel pixels in the largest connected piece.",
    )

    @model_validator(mode="after")
    def _check_presence(self) -> Self:
        if self.contrast is None and self.connected is None:
            raise ValueError("give contrast, connected or both")
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


class GivenMaps(BaseModel):
    """The maps of an upload."""

    upload: str
    count: int = Field(description="How many there are.")
    sha256: str = Field(description="Names the maps: the same if they are uploaded again.")


class NotLike(BaseModel):
    """Maps that no pair may be a copy of, such as those that the model was trained on."""

    model_config = ConfigDict(extra="forbid", strict=True)

    upload: str = Field(max_length=40, description="Of maps, or of pairs, whose labels are taken.")
    overlap: float = Field(
        default=0.9,
        ge=0.5,
        le=1,
        description="Largest overlap (F1) with any of them, turned, mirrored and shifted as it fits "
        "best, that is taken.",
    )


class AvoidedMaps(GivenMaps):
    """The maps of an upload that no pair is a copy of."""

    overlap: float


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
        description="Side length in pixels, one that the model lists; its smallest if not given.",
    )
    model: str | None = Field(
        default=None,
        description="name@version, or a name for its highest version. If not given, the default model, "
        "or another one if that does not make the resolution.",
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
        "if not given), as in DRIVE (images/, 1st_manual/, mask/), or tar files (webdataset).",
    )
    image_format: ImageFormat | None = Field(
        default=None,
        description="Of the photographs: png if not given; jpeg (quality 95, 4:4:4) loses a little, "
        "tiff nothing. Labels and masks are always PNG.",
    )
    volume_pairs: VolumePairs | None = Field(
        default=None,
        description="Most pairs in one zip; an order of more comes as several. If not given, and at "
        "most, 100000 at up to 256 px, and fewer by area above. Tars are not cut.",
    )
    style_seed: Seed | None = Field(
        default=None,
        description="Draws one style for all photographs, as of one camera and one person; each pair "
        "has its own if not given.",
    )
    eye: Eye | None = Field(
        default=None,
        description="Which eye all pairs show; both, drawn by pair, if not given. Not every model "
        "knows left from right.",
    )
    vessel_share: VesselShare | None = Field(
        default=None,
        description="Only maps with this share of vessel; others are drawn again, which takes longer.",
        examples=[{"min": 0.08, "max": 0.12}],
    )
    minimum_quality: MinimumQuality | None = Field(
        default=None,
        description="Only pairs that have at least this; others are drawn again, which takes longer.",
        examples=[{"contrast": 4, "connected": 0.5}],
    )
    maps: str | None = Field(
        default=None,
        max_length=40,
        description="An upload whose label maps are photographed, in place of drawn ones: pair i shows "
        "map i, from the first again behind the last. All pairs of one map are in one split.",
        examples=["up_4fTqk0hXv1yJb2mZsW9a"],
    )
    not_like: NotLike | None = Field(
        default=None,
        description="Only maps that are no copies of these; others are drawn again. Each map that is "
        "drawn is compared with all of them, which takes longer.",
    )
    lesions: Lesions | None = Field(
        default=None,
        description="How many photographs show lesions: none, as many as in the training photographs "
        "(mixed, if not given), or all. From a model that draws no lesions, mixed means none.",
    )
    masks: Masks | None = Field(
        default=None,
        description="More masks for the zip, besides that of the field of view, which is always there: "
        "optic disc (0 or 255) and lesions (0 none, 1 dark, 2 bright). A model lists those that it draws.",
        examples=[["disc", "lesions"]],
    )
    deadline: Time | None = Field(
        default=None,
        description="If the job has not ended by then, it is cancelled; what is finished can be "
        "downloaded. A time with its zone.",
        examples=["2126-12-01T18:00:00Z"],
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
    image_format: ImageFormat | None = None
    volume_pairs: int | None = Field(
        default=None, description="Pairs in each zip but the last; null if there is only one."
    )
    style_seed: Seed | None = None
    eye: Eye | None = None
    vessel_share: VesselShare | None = None
    minimum_quality: MinimumQuality | None = None
    maps: GivenMaps | None = None
    not_like: AvoidedMaps | None = None
    lesions: Lesions | None = Field(
        default=None,
        description="Null if the order names none and the model draws no lesions.",
    )
    masks: list[MaskName] | None = None


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
    rejected: dict[str, int] | None = Field(
        description="Of an order with limits (vessel_share, minimum_quality, not_like): candidates "
        "turned away for finished pairs, by the measure they failed. Null of other orders, and of expired ones.",
        examples=[{"vessel_share": 12, "contrast": 3}],
    )


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


class Volume(BaseModel):
    """A zip that opens on its own; all unpack into one folder."""

    number: int = Field(description="From 1. One is missing if a cancelled job has nothing of it.")
    pairs: int
    bytes: int
    manifest_sha256: str = Field(
        description="SHA-256 of the zip's manifest, which lists that of every other file."
    )
    download: str | None = Field(description="The zip; null once the data set has expired.")


class Archive(BaseModel):
    bytes: int = Field(description="Of all volumes.")
    manifest_sha256: str | None = Field(
        description="SHA-256 of the archive's manifest.json, which lists that of every other file; "
        "null if there are several volumes, which have one each."
    )
    volumes: list[Volume] = Field(description="One, unless the order is very large.")


class Links(BaseModel):
    self: str
    download: str | None = Field(
        description="The archive, once it is there; null if it has several volumes, which have links "
        "of their own."
    )
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
    error: JobError | None = Field(
        description="Why the job failed, or was cancelled without being asked to."
    )
    links: Links
    webhook: WebhookReport | None = Field(description="Null if the order named none.")
    deadline: datetime | None = Field(description="When the job is cancelled if it has not ended.")
    expires_at: datetime | None = Field(
        description="When the files will be removed; null while that is not known, or never."
    )
    created_at: datetime
    timestamps: Timestamps


class DatasetList(BaseModel):
    """A page of data sets, the newest first."""

    data: list[Dataset]
    has_more: bool = Field(description="Whether there are more: ask with after = the last id.")


class PairLinks(BaseModel):
    image: str = Field(description="The photograph, in the order's format.")
    label: str = Field(description="The vessels, PNG.")
    mask: str = Field(description="The field of view, PNG.")
    disc: str | None = Field(
        default=None, description="The optic disc, PNG; null if the order asks for no such masks."
    )
    lesions: str | None = Field(
        default=None, description="The lesions, PNG; null if the order asks for no such masks."
    )


class Pair(BaseModel):
    """What is known of a finished pair, as metadata.jsonl in the archive has it."""

    index: int = Field(description="From 0.")
    seed: str = Field(
        description="Its own, drawn from the order's seed and its index. In digits, since it may be "
        "larger than the numbers that every JSON reader keeps exact.",
        examples=["4519082210498172653"],
    )
    split: str = Field(description="train, val or test.")
    vessel_share: float = Field(description="Of the field of view, 0 to 1.")
    quality: dict[str, float] | None = Field(
        description="The measures that the order limits; null if it limits none.",
        examples=[{"contrast": 6.1, "connected": 0.62}],
    )
    rejected: dict[str, int] | None = Field(
        description="Candidates turned away before this pair, by the measure they failed; null if none."
    )
    map: str | None = Field(
        description="Name of the given map that it shows; null if it was drawn."
    )
    links: PairLinks


class PairList(BaseModel):
    """Finished pairs by index. Those that are missing are still to be made."""

    data: list[Pair]
    has_more: bool = Field(description="Whether the data set has pairs after those asked for.")
