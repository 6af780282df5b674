"""What the service answers, as typed objects.

Each has the fields that programs need most; ``document`` is the whole answer as it came, and
``answer["field"]`` reads from it. Fields that a newer service adds are left alone.
"""

import types
from dataclasses import dataclass, field, fields, is_dataclass
from datetime import datetime
from functools import lru_cache
from typing import Any, ClassVar, TypeVar, Union, get_args, get_origin, get_type_hints

Document = dict[str, Any]
T = TypeVar("T")

ENDED = frozenset({"succeeded", "failed", "cancelled", "expired"})


@dataclass(frozen=True, kw_only=True)
class Answer:
    document: Document = field(repr=False)

    def __getitem__(self, name: str) -> Any:
        return self.document[name]


@dataclass(frozen=True, kw_only=True)
class JobError:
    """Why a job failed: a short word for programs, and a sentence."""

    code: str
    detail: str


@dataclass(frozen=True, kw_only=True)
class JobAnswer(Answer):
    """What every kind of job tells."""

    home: ClassVar[str]  # path of all jobs of the kind

    id: str
    status: str
    request: Document
    error: JobError | None
    created_at: datetime
    expires_at: datetime | None
    timestamps: dict[str, Any]

    @property
    def path(self) -> str:
        return f"{self.home}/{self.id}"

    @property
    def ended(self) -> bool:
        return self.status in ENDED


@dataclass(frozen=True, kw_only=True)
class Progress:
    """Numbers of pairs; ``rejected`` counts candidates by the measure they failed."""

    requested: int
    generated: int
    packaged: int
    rejected: dict[str, int] | None


@dataclass(frozen=True, kw_only=True)
class Estimate:
    seconds_left: float | None
    queue_position: int | None
    bytes: int | None


@dataclass(frozen=True, kw_only=True)
class Volume:
    """One zip; ``manifest_sha256`` is that of the manifest in it, which has those of its files."""

    number: int
    pairs: int
    bytes: int
    manifest_sha256: str
    download: str | None


@dataclass(frozen=True, kw_only=True)
class Archive:
    bytes: int
    volumes: list[Volume]


@dataclass(frozen=True, kw_only=True)
class DatasetAnswer(JobAnswer):
    home: ClassVar[str] = "/datasets"

    progress: Progress
    estimate: Estimate
    archive: Archive | None


@dataclass(frozen=True, kw_only=True)
class Quote(Answer):
    """What an order would cost: seconds of one worker, bytes of the archive."""

    request: Document
    seconds: float
    bytes: int
    basis: str


@dataclass(frozen=True, kw_only=True)
class UsedPicture:
    """One map or pair that is good, by the names of its files in the zip."""

    number: int
    image: str | None
    label: str
    mask: str | None
    conversions: list[Document]
    warnings: list[Document] = field(default_factory=list)


@dataclass(frozen=True, kw_only=True)
class UnlabelledPhotograph:
    """One photograph without a label."""

    number: int
    image: str
    conversions: list[Document]
    warnings: list[Document] = field(default_factory=list)


@dataclass(frozen=True, kw_only=True)
class RefusedFile:
    """One file that is not used, nor its ``partners``."""

    file: str
    code: str
    detail: str
    partners: list[str] = field(default_factory=list)


@dataclass(frozen=True, kw_only=True)
class IgnoredFile:
    file: str
    reason: str


@dataclass(frozen=True, kw_only=True)
class Report:
    """What was found in an upload, file by file."""

    used: list[UsedPicture]
    unlabelled: list[UnlabelledPhotograph] = field(default_factory=list)
    refused: list[RefusedFile]
    ignored: list[IgnoredFile]


@dataclass(frozen=True, kw_only=True)
class PartProgress:
    """How a zip is cut: ``size`` bytes a part; lists do not say how many were ``received``."""

    size: int
    count: int
    received: int | None = None


@dataclass(frozen=True, kw_only=True)
class UploadAnswer(JobAnswer):
    """``count`` maps or pairs are good; lists have no report.

    ``receiving``: not all bytes have come; ``parts`` has how many parts have, if it comes by parts.
    """

    home: ClassVar[str] = "/uploads"

    count: int
    receiving: bool
    parts: PartProgress | None
    report: Report | None = None


@dataclass(frozen=True, kw_only=True)
class StageProgress:
    stage: str
    images: int
    minutes: float
    of_images: int | None
    of_minutes: float | None


@dataclass(frozen=True, kw_only=True)
class RunProgress:
    """``stage`` is the one in hand, None between two slices; ``metrics`` are its last ones."""

    slice: int | None
    stage: str | None
    stages: list[StageProgress]
    images_per_second: float | None
    seconds_left: float | None
    metrics: dict[str, float]


@dataclass(frozen=True, kw_only=True)
class QueueEstimate:
    seconds_left: float | None
    queue_position: int | None


@dataclass(frozen=True, kw_only=True)
class RunAnswer(JobAnswer):
    """``model`` is name@version once the run has made it."""

    home: ClassVar[str] = "/training-runs"

    pairs: int
    progress: RunProgress
    estimate: QueueEstimate
    settings: Document | None
    model: str | None


@dataclass(frozen=True, kw_only=True)
class MetricsLine(Answer):
    """Means since the line before; ``images`` and ``seconds`` of training so far."""

    images: int
    seconds: float
    values: dict[str, float]


@dataclass(frozen=True, kw_only=True)
class StepInHand:
    """``share`` of it is done, 0 to 1."""

    step: str
    share: float


@dataclass(frozen=True, kw_only=True)
class EvaluationProgress:
    steps: int
    done: int
    current: list[StepInHand]


@dataclass(frozen=True, kw_only=True)
class Summary:
    """The figures that matter most, None of what was not asked for; ``f1`` is by way of training."""

    f1: dict[str, float]
    synthetic_to_real: float | None
    kid: float | None
    copies: int | None
    nearer_to_training: float | None


@dataclass(frozen=True, kw_only=True)
class EvaluationAnswer(JobAnswer):
    """``summary`` is there once the report is."""

    home: ClassVar[str] = "/evaluations"

    progress: EvaluationProgress
    estimate: QueueEstimate
    summary: Summary | None


@dataclass(frozen=True, kw_only=True)
class ModelAnswer(Answer):
    """``masks``: those that an order can ask for, besides the field of view."""

    id: str
    name: str
    version: str
    title: str
    default: bool
    resolutions: list[int]
    channels: list[str] = field(default_factory=lambda: ["vessels"])  # older services do not say
    masks: list[str] = field(default_factory=list)
    licence: str
    metrics: Document
    digest: str
    shipped: bool

    @property
    def path(self) -> str:
        return f"/models/{self.id}"


@dataclass(frozen=True, kw_only=True)
class UsageDay:
    day: str
    pairs: int
    device_seconds: float


@dataclass(frozen=True, kw_only=True)
class Usage(Answer):
    owner: str
    pairs: int
    device_seconds: float
    days: list[UsageDay]


def read(kind: type[T], document: Document, **more: Any) -> T:
    """The document as an object of the dataclass; ``more`` are fields that no document has."""
    wanted: Any = kind
    if issubclass(kind, Answer):
        more["document"] = document
    members = {
        name: _value(hint, document[name])
        for name, hint in _hints(wanted).items()
        if name in document and name not in more
    }
    return kind(**members, **more)


@lru_cache
def _hints(kind: Any) -> dict[str, Any]:
    hints = get_type_hints(kind)
    return {f.name: hints[f.name] for f in fields(kind)}


def _value(hint: Any, value: Any) -> Any:
    if get_origin(hint) in (Union, types.UnionType):
        if value is None:
            return None
        hint = next(part for part in get_args(hint) if part is not type(None))
    if get_origin(hint) is list:
        return [_value(get_args(hint)[0], one) for one in value]
    if hint is datetime:
        return datetime.fromisoformat(value)
    if isinstance(hint, type) and is_dataclass(hint):
        return read(hint, value)
    return value
