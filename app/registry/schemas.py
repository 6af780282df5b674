"""The parts of a package.json that the service reads, and what it tells users of a model."""

from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, StringConstraints

Name = Annotated[str, StringConstraints(pattern=r"^[a-z0-9][a-z0-9-]{0,62}$")]
Version = Annotated[
    str, StringConstraints(pattern=r"^(0|[1-9][0-9]{0,5})(\.(0|[1-9][0-9]{0,5})){2}$")
]
Sha256 = Annotated[str, StringConstraints(pattern=r"^[0-9a-f]{64}$")]


Line = Annotated[str, StringConstraints(max_length=500)]
Text = Annotated[str, StringConstraints(max_length=5000)]
Url = Annotated[str, StringConstraints(pattern=r"^(https?://.*)?$", max_length=2000)]


Channel = Annotated[str, StringConstraints(pattern=r"^[a-z][a-z0-9_]{0,39}$")]
MaskName = Literal["disc", "lesions"]
# The channels of a map that each mask is made of; one of them is enough.
MASK_CHANNELS: dict[MaskName, set[str]] = {
    "disc": {"disc"},
    "lesions": {"dark_lesions", "bright_lesions"},
}


class TrainingSource(BaseModel):
    """Photographs that a model was trained on."""

    name: Line
    licence: Line
    attribution: Text
    url: Url | None = None


class TrainingData(TrainingSource):
    """All that a model was trained on, in one line, and data set by data set where it lists them."""

    data_sets: list[TrainingSource] = Field(
        default=[],
        description="Each that a network of the model learned from; empty if not listed.",
    )
    expert_labels: int | None = Field(
        default=None,
        ge=0,
        description="Photographs whose vessels experts have labelled, if counted.",
    )
    traced_labels: int | None = Field(
        default=None, ge=0, description="Photographs with pseudo-labels of vessels, if counted."
    )
    images: list[str] = Field(default=[], description="Names of the photographs that were used.")


class Cost(BaseModel):
    """What a pair costs."""

    seconds_per_pair: float = Field(gt=0, le=3600)
    bytes_per_pair: float = Field(ge=100, le=1e9, description="Bytes in the archive.")


class Expected(Cost):
    """What a pair costs, as measured when the package was made: at its smallest resolution."""

    machine: Line = Field(description="Where it was measured.")
    by_resolution: dict[int, Cost] = Field(
        default={}, description="What a pair costs at other resolutions, in pixels."
    )

    def at(self, resolution: int) -> Cost:
        """The cost of a pair of this resolution."""
        return self.by_resolution.get(resolution, self)


class Sampling(BaseModel):
    """What the service needs to know of how pairs are drawn; the rest is kept as it is."""

    model_config = ConfigDict(extra="allow")

    eye: Literal["left", "right"] | None = None  # which one stage one draws, if that is known


class PackagedFile(BaseModel):
    sha256: Sha256
    bytes: int = Field(ge=0)


class PackageManifest(BaseModel):
    """package.json. What only the networks need is not looked at here."""

    model_config = ConfigDict(extra="ignore")

    format: Literal["fundusmith-model/1", "fundusmith-model/2"]
    name: Name
    version: Version
    title: Line
    created: Line
    resolutions: list[Annotated[int, Field(ge=1, le=8192)]] = Field(min_length=1)
    channels: list[Channel] = Field(default=["vessels"], min_length=1)
    licence: Line
    training_data: TrainingData
    sampling: Sampling = Sampling()
    expected: Expected
    metrics: dict[str, Any] = {}
    files: dict[str, PackagedFile]

    @property
    def trainable_here(self) -> bool:
        """Whether a training run of the service can start from it."""
        return self.format == "fundusmith-model/1"

    @property
    def default_resolution(self) -> int:
        """Of orders that name none, in pixels."""
        return min(self.resolutions)

    @property
    def masks(self) -> list[MaskName]:
        """The masks that its orders can ask for."""
        return [mask for mask, channels in MASK_CHANNELS.items() if channels & {*self.channels}]


class ModelLinks(BaseModel):
    self: str
    export: str = Field(description="The package as one zip.")
    card: str | None = Field(description="The model card, Markdown.")
    samples: str | None = Field(description="A sheet of sample pictures, PNG.")
    evaluations: str = Field(description="Your evaluations of it, and of data sets it has made.")


class Model(BaseModel):
    """A model that orders can name."""

    id: str = Field(description="name@version, as an order names it.", examples=["chase-256@1.0.0"])
    name: Name
    version: Version
    title: str
    default: bool = Field(description="Whether orders that name no model get this one.")
    created: str
    resolutions: list[int] = Field(description="Side lengths in pixels that it can make.")
    channels: list[str] = Field(
        description="What its maps hold.",
        examples=[["vessels", "disc", "dark_lesions", "bright_lesions"]],
    )
    masks: list[MaskName] = Field(
        description="Masks that an order can ask for, besides the field of view."
    )
    eyes: bool = Field(description="Whether an order can ask for left or for right eyes.")
    licence: str
    training_data: TrainingData
    expected: Expected
    metrics: dict[str, Any]
    digest: Sha256 = Field(description="SHA-256 of the package's package.json.")
    shipped: bool = Field(description="Whether it came with the service: everyone's, and kept.")
    links: ModelLinks


class ModelList(BaseModel):
    data: list[Model]


class ComparedMetric(BaseModel):
    """One measure of all the models."""

    name: str = Field(examples=["maps_generated.vessel_share.mean"])
    values: list[Any] = Field(description="In the order of the models; null where one lacks it.")


class Comparison(BaseModel):
    """Models side by side."""

    models: list[Model]
    metrics: list[ComparedMetric]
