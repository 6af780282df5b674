"""What users send and get when they have a model or a data set evaluated."""

from datetime import datetime
from typing import Annotated, Any, Literal

from pydantic import (
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    PlainValidator,
    WithJsonSchema,
)

from app.jobs.evaluations import PARTS, Network, Part
from app.jobs.schemas import JobError, QueueEstimate, Seed, Timestamps, whole
from app.jobs.tables import JobStatus

MOST_PAIRS = 10_000  # that are counted
MOST_NAMES = 200  # that are listed: a body has 64 KiB at most
LONGEST_NAME = 100  # characters
FEWEST_GENERATED = 16
PAIRS = 200  # generated ones, if the order does not say

Generated = Annotated[int, Field(ge=FEWEST_GENERATED, le=10_000), BeforeValidator(whole)]
Seeds = Annotated[int, Field(ge=1, le=20), BeforeValidator(whole)]
Steps = Annotated[int, Field(ge=10, le=10_000), BeforeValidator(whole)]


def _which(value: object) -> int | list[str]:
    number = whole(value)
    if isinstance(number, int) and 1 <= number <= MOST_PAIRS and not isinstance(number, bool):
        return number
    if isinstance(value, list) and 1 <= len(value) <= MOST_NAMES:
        names = [name for name in value if isinstance(name, str) and len(name) <= LONGEST_NAME]
        if len(names) == len(value):
            return names
    raise ValueError(
        f"give names of photographs, at most {MOST_NAMES}, or how many, 1 to {MOST_PAIRS}"
    )


NAME = {"type": "string", "maxLength": LONGEST_NAME}
# One validator for both: the places of a union's errors would name its members.
Which = Annotated[
    int | list[str],
    PlainValidator(_which),
    WithJsonSchema(
        {
            "anyOf": [
                {"type": "integer", "minimum": 1, "maximum": MOST_PAIRS},
                {"type": "array", "items": NAME, "minItems": 1, "maxItems": MOST_NAMES},
            ]
        }
    ),
]


class EvaluationOrder(BaseModel):
    """What to evaluate. ``upload`` is required, and one of ``model`` and ``dataset``."""

    model_config = ConfigDict(
        extra="forbid",
        strict=True,
        json_schema_extra={
            "examples": [{"model": "chase-256", "upload": "up_4fTqk0hXv1yJb2mZsW9a"}]
        },
    )

    model: str | None = Field(
        default=None,
        description="name@version, or a name for its highest version. Its pairs are drawn anew.",
        examples=["chase-256"],
    )
    dataset: str | None = Field(
        default=None,
        max_length=40,
        description="A data set in place of a model: its first pairs are looked at.",
    )
    upload: str = Field(max_length=40, description="Of real pairs, checked and found good.")
    train: Which | None = Field(
        default=None,
        description="Real pairs to train on, and to look for copies of: names of photographs, as in "
        "the upload's zip or without their folders, or how many, from the first one on. If not given, "
        "those that the model has learned from, going by their names.",
    )
    hold_out: Which | None = Field(
        default=None,
        description="Real pairs to test on, which the model must not have learned from: names, or how "
        "many, up to the last one. If not given, all that are neither in `train` nor in what the model "
        "has learned from.",
    )
    pairs: Generated | None = Field(
        default=None,
        description=f"Generated pairs that are looked at and trained on; {PAIRS} if not given, or all "
        "that the data set has.",
    )
    seeds: Seeds = Field(
        default=3, description="Segmentation networks that are trained for each arm: the spread."
    )
    steps: Steps = Field(default=400, description="Training steps of each.")
    seed: Seed | None = Field(default=None, description="Drawn, and recorded, if not given.")
    copy_overlap: float = Field(
        default=0.9,
        ge=0.5,
        le=1,
        description="Overlap (F1) with a real map from which on a map counts as a copy.",
    )
    network: Network = Field(
        default="u-net",
        description="Segmentation network that is trained: a small U-Net, or one without pooling that weighs "
        "two scales by attention. Labels of models that trace are found by a U-Net, so the latter says "
        "what pairs teach a network of another shape. It takes two to three times as long.",
    )
    only: Annotated[list[Part], Field(min_length=1, max_length=len(PARTS))] | None = Field(
        default=None,
        description="Parts of the evaluation, all if not given: `measures` looks at the pictures; the "
        "others train on real pairs, on real ones with strong augmentation, on generated ones, on "
        "generated and then real ones, on both mixed, on both mixed with strong augmentation, and on "
        "real maps photographed by the model.",
    )


class RealPair(BaseModel):
    """A pair of the upload."""

    number: int = Field(description="As in the upload's report.")
    file: str = Field(description="Name of the photograph in the zip.")


class EvaluationRequest(BaseModel):
    """An order with everything filled in."""

    model: str = Field(description="name@version: what is evaluated, or what made the data set.")
    dataset: str | None
    upload: str
    resolution: int
    train: list[RealPair]
    hold_out: list[RealPair]
    pairs: int
    seeds: int
    steps: int
    seed: Seed
    copy_overlap: float
    network: Network = "u-net"  # of evaluations that are older than the field
    only: list[Part]


class Summary(BaseModel):
    """The figures that matter most; null of what was not asked for."""

    f1: dict[Part, float] = Field(
        description="Of each arm, within the field of view of the pairs held out; the mean over seeds."
    )
    synthetic_to_real: float | None = Field(
        description="F1 of training on generated pairs, as a share of that of real ones."
    )
    kid: float | None = Field(
        description="Distance of the generated photographs to those trained on; null too where no "
        "feature network is installed."
    )
    copies: int | None = Field(description="Generated maps that are copies of real ones.")
    nearer_to_training: float | None = Field(
        description="Share of the generated maps that are nearer to a map trained on than to any held "
        "out."
    )


class StepInHand(BaseModel):
    step: str = Field(examples=["fit:synthetic:0"])
    share: float = Field(description="Of it that is done, 0 to 1.")


class EvaluationProgress(BaseModel):
    steps: int
    done: int
    current: list[StepInHand] = Field(description="What workers are at now.")


class EvaluationLinks(BaseModel):
    self: str
    events: str = Field(
        description="Server-sent events: the evaluation again, each time it changes."
    )
    model: str
    dataset: str | None
    upload: str
    report: str | None = Field(description="JSON, once it is written.")
    page: str | None = Field(description="The report as one HTML file, once it is written.")
    cancel: str | None = Field(description="POST here to cancel, while there is anything to.")


class Evaluation(BaseModel):
    """An evaluation and the state of its job."""

    id: str = Field(examples=["ev_4fTqk0hXv1yJb2mZsW9a"])
    kind: Literal["evaluation"]
    status: JobStatus
    request: EvaluationRequest
    progress: EvaluationProgress
    estimate: QueueEstimate
    summary: Summary | None = Field(description="Null until the report is written.")
    package_digest: str | None = Field(
        description="Of the model; null if it is no longer there, so that nothing was rendered by it."
    )
    environment: dict[str, Any] | None = Field(
        description="Library versions, device and precision; null until the first step is done."
    )
    error: JobError | None = Field(description="Why the evaluation failed.")
    links: EvaluationLinks
    expires_at: datetime | None = Field(
        description="When the report will be removed; null while that is not known, or never."
    )
    created_at: datetime
    timestamps: Timestamps


class EvaluationList(BaseModel):
    """A page of evaluations, the newest first."""

    data: list[Evaluation]
    has_more: bool = Field(description="Whether there are more: ask with after = the last id.")
