"""What users send and get when they train a model."""

from datetime import datetime
from typing import Annotated, Any, Literal, Self

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, model_validator

from app.jobs.schemas import JobError, QueueEstimate, Seed, Timestamps, whole
from app.jobs.tables import JobStatus
from app.registry.schemas import Name
from app.training.hyperparameters import HyperParameters

MOST_MINUTES = 100_000.0
MOST_IMAGES = 1_000_000_000

Stage = Literal["vessel", "photo"]
Stages = Literal["both", "vessel", "photo"]
Resolution = Annotated[
    Literal[64, 128, 256, 512, 1024],
    BeforeValidator(whole),
]

Images = Annotated[int, Field(ge=1, le=MOST_IMAGES), BeforeValidator(whole)]


class Budget(BaseModel):
    """What each stage may spend: minutes, or images. Give one of them."""

    model_config = ConfigDict(extra="forbid", strict=True, allow_inf_nan=False)

    minutes: float | None = Field(
        default=None, gt=0, le=MOST_MINUTES, description="Of training, saving not counted."
    )
    images: Images | None = Field(
        default=None,
        description="Repeatable: the same run ends with the same weights on the same kind of CPU.",
    )

    @model_validator(mode="after")
    def _check_one(self) -> Self:
        if (self.minutes is None) == (self.images is None):
            raise ValueError("give either minutes or images")
        return self

    def covers(self, before: "Budget") -> bool:
        """Whether it is as large as the other one, or larger, and of its kind."""
        if self.images is not None and before.images is not None:
            return self.images >= before.images
        if self.minutes is not None and before.minutes is not None:
            return self.minutes >= before.minutes
        return False


class DataSource(BaseModel):
    """What the model's card says of the pairs that it has learned from."""

    model_config = ConfigDict(extra="forbid", strict=True)

    name: str = Field(default="own data", min_length=1, max_length=200)
    licence: str = Field(default="not stated", min_length=1, max_length=200)
    attribution: str = Field(default="not stated", min_length=1, max_length=1000)
    url: str = Field(default="", max_length=1000)


class TrainingOrder(BaseModel):
    """What to train. ``upload``, ``name`` and ``budget`` are required."""

    model_config = ConfigDict(
        extra="forbid",
        strict=True,
        json_schema_extra={
            "examples": [
                {
                    "upload": "up_4fTqk0hXv1yJb2mZsW9a",
                    "name": "mine-256",
                    "budget": {"minutes": 60},
                    "from": "chase-256",
                }
            ]
        },
    )

    upload: str = Field(max_length=40, description="Of pairs, checked and found good.")
    name: Name = Field(
        description="Of the model that will come of it; its version is the next one."
    )
    stages: Stages = Field(
        default="both",
        description="vessel draws the maps, photo renders the photographs. The other stage of a "
        "single one is taken from the model named by `from`.",
    )
    resolution: Resolution = Field(default=256, description="Side length in pixels.")
    budget: Budget
    from_: str | None = Field(
        default=None,
        alias="from",
        description="Model to start from, as an order names one: minutes instead of hours.",
        examples=["chase-256"],
    )
    seed: Seed | None = Field(default=None, description="Drawn, and recorded, if not given.")
    settings: HyperParameters = HyperParameters()
    data: DataSource = DataSource()


class ResumeOrder(BaseModel):
    """How to go on with a run."""

    model_config = ConfigDict(extra="forbid", strict=True)

    budget: Budget | None = Field(
        default=None, description="A larger one, of the same kind; as it was if not given."
    )


class TrainingRequest(BaseModel):
    """An order with everything filled in; of `settings`, those that were given."""

    upload: str
    name: Name
    stages: Stages
    resolution: int
    budget: Budget
    from_: str | None = Field(alias="from", description="name@version")
    seed: Seed
    settings: dict[Stage, dict[str, float]]
    data: DataSource


class StageProgress(BaseModel):
    """How far a stage is. Of its budget, images or minutes are null."""

    stage: Stage
    images: int
    minutes: float
    of_images: int | None
    of_minutes: float | None


class RunProgress(BaseModel):
    slice: int | None = Field(description="Number of the slice in hand, from 0; null between two.")
    stage: Stage | None = Field(description="The stage in hand.")
    stages: list[StageProgress]
    images_per_second: float | None = Field(description="Of late, of the stage in hand.")
    seconds_left: float | None = Field(description="Of training, for the stage in hand.")
    metrics: dict[str, float] = Field(description="The last ones of the stage in hand.")


class RunLinks(BaseModel):
    self: str
    events: str = Field(description="Server-sent events: the run again, each time it changes.")
    metrics: str
    samples: str
    tensorboard: str
    model: str | None = Field(description="The model, once it is there.")
    cancel: str | None = Field(description="POST here to cancel, while there is anything to.")
    resume: str | None = Field(description="POST here to go on with a run that was cut short.")


class TrainingRun(BaseModel):
    """A training run and the state of its job."""

    id: str = Field(examples=["tr_4fTqk0hXv1yJb2mZsW9a"])
    kind: Literal["training"]
    status: JobStatus
    request: TrainingRequest
    pairs: int = Field(description="That it learns from.")
    progress: RunProgress
    estimate: QueueEstimate
    settings: dict[Stage, dict[str, float]] | None = Field(
        description="Every hyper-parameter; null until the first slice is done."
    )
    environment: dict[str, Any] | None = Field(
        description="Library versions, device and precision for which the same run gives the same "
        "weights; null until the first slice is done."
    )
    model: str | None = Field(
        description="name@version, once it is there.", examples=["mine-256@1.0.0"]
    )
    error: JobError | None = Field(description="Why the run failed.")
    links: RunLinks
    expires_at: datetime | None = Field(
        description="When what the run has left will be removed, but for its model; null while that is "
        "not known, or never."
    )
    created_at: datetime
    timestamps: Timestamps


class TrainingRunList(BaseModel):
    """A page of training runs, the newest first."""

    data: list[TrainingRun]
    has_more: bool = Field(description="Whether there are more: ask with after = the last id.")


class MetricsLine(BaseModel):
    """Means since the line before."""

    images: int = Field(description="That the stage has seen by then.")
    seconds: float = Field(description="Of training by then.")
    values: dict[str, float] = Field(
        description="By name: losses, overfitting signal, augmentation strength, images per second, "
        "peak GPU bytes ..."
    )


class Metrics(BaseModel):
    """A page of a stage's metrics, the oldest first."""

    stage: Stage
    data: list[MetricsLine]
    has_more: bool = Field(description="Whether there are more: ask with after = the last images.")


class Sample(BaseModel):
    """A sheet of samples that the stage in training drew, from the same noise each time."""

    number: int
    stage: Stage
    images: int = Field(description="That the stage had seen by then.")
    link: str = Field(description="PNG.")


class SampleList(BaseModel):
    data: list[Sample]
