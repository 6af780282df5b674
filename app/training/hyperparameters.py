"""Hyper-parameters of training: for each its default, its bounds and what it means.

They are those of ``models/training/settings.py``, which this room cannot import; a test compares them.
"""

from typing import Any, Self

from pydantic import BaseModel, ConfigDict, Field, model_validator

from app.jobs.schemas import Whole


def setting(
    default: float, least: float, most: float, meaning: str, *, gpu: float | None = None
) -> Any:
    """A field within [least, most]; ``gpu`` is its default there, if another."""
    default_on_gpu = "" if gpu is None else f" Default on a GPU: {gpu}."
    return Field(
        default=default,
        ge=least,
        le=most,
        description=f"{meaning[0].upper()}{meaning[1:]}.{default_on_gpu}",
    )


class _Settings(BaseModel):
    """Only what is given is passed on: the defaults are those of the device that trains."""

    model_config = ConfigDict(extra="forbid", strict=True, allow_inf_nan=False)


class VesselSettings(_Settings):
    """Of stage one, which draws vessel maps."""

    learning_rate: float = setting(
        0.002, 1e-6, 0.1, "of Adam, both networks; falls to a fifth at the end"
    )
    batch: Whole = setting(8, 4, 1024, "maps a step", gpu=32)
    largest_batch_at: Whole = setting(
        128, 4, 1024, "above this resolution the batch is halved with each doubling"
    )
    smallest_batch: Whole = setting(4, 4, 1024, "but not below this", gpu=16)
    width: float = setting(
        1.0, 0.125, 8.0, "feature maps, as a multiple of 96 to 32 px, 64, 32, and 8 at 256 px"
    )
    latent: Whole = setting(128, 2, 1024, "numbers of noise that a map is drawn from")
    r1_per_pixel: float = setting(
        5e-5,
        0.0,
        0.01,
        "gamma of the R1 penalty (arXiv 2006.06676), a pixel: 0.05 at 32 px, 3.3 at 256 px",
    )
    r1_smallest: Whole = setting(
        32, 4, 1024, "below this resolution gamma is that of this resolution"
    )
    r1_every: Whole = setting(8, 1, 64, "steps from one R1 penalty to the next")
    spread: float = setting(
        3.0, 0.0, 100.0, "weight of the spread loss, which keeps maps from being alike"
    )
    fade: float = setting(0.3, 0.01, 1.0, "share of a resolution's time in which it fades in")
    augmentation_target: float = setting(
        0.6, 0.0, 1.0, "overfitting signal (mean sign of the scores of reals) that is steered to"
    )
    augmentation_least: float = setting(
        0.4, 0.0, 1.0, "least probability of a move; twenty maps are never enough to do without"
    )
    augmentation_most: float = setting(
        0.85, 0.0, 1.0, "largest probability; above 0.85 the moves begin to leak into the drawings"
    )
    augmentation_images: Whole = setting(
        10_000, 100, 10_000_000, "images over which the probability could move by one"
    )
    refining: float = setting(
        0.4,
        0.0,
        1.0,
        "share of the time up to the largest size that is drawn in which the refiner learns, after the "
        "others; 1 leaves what a package draws as it is, and refines it",
    )
    refining_r1: float = setting(
        0.02, 0.0, 100.0, "gamma of the R1 penalty on the scores of parts of refined maps"
    )
    layout_weight: float = setting(
        5.0, 0.0, 1000.0, "weight of what the refiner adds and takes away in cells of 8 x 8 pixels"
    )
    average_images: float = setting(1000.0, 1.0, 1e6, "half-life of the weight average, in images")
    catch_up: float = setting(
        0.05, 0.0, 0.5, "share of a run from a package in which only the discriminator learns"
    )
    collapse_lacking: float = setting(
        0.9, 0.5, 1.0, "lack of spread from which the drawn maps count as alike"
    )
    collapse_images: Whole = setting(
        2_000, 8, 10_000_000, "images over which they are alike before the run is stopped"
    )

    @model_validator(mode="after")
    def _check_augmentation(self) -> Self:
        if self.augmentation_least > self.augmentation_most:
            raise ValueError(
                f"augmentation_least: {self.augmentation_least}, must not be above "
                f"augmentation_most, {self.augmentation_most}"
            )
        return self


class PhotoSettings(_Settings):
    """Of stage two, which renders photographs."""

    learning_rate: float = setting(2e-4, 1e-6, 1e-1, "of Adam; falls to zero in the second half")
    discriminator_rate: float = setting(
        2e-3, 1e-6, 1e-1, "of the discriminator's Adam; falls likewise"
    )
    batch: Whole = setting(2, 1, 1024, "pairs a step", gpu=16)
    width: float = setting(1.0, 0.125, 8.0, "feature maps, as a multiple of 24, 48, 96, 192, 192")
    blocks: Whole = setting(5, 0, 32, "residual blocks")
    style: Whole = setting(16, 1, 256, "numbers of a style code")
    noise: Whole = setting(2, 0, 64, "planes of noise, which texture is made of")
    threshold: float = setting(
        0.35,
        0.01,
        0.99,
        "share of a pixel from which it counts as vessel: at a half, vessels thinner than a pixel "
        "vanish; much lower, they grow fat",
    )
    window: Whole = setting(
        160,
        64,
        1024,
        "side of the part of a photograph that the discriminator judges in a step, in pixels",
        gpu=1024,
    )
    r1: float = setting(
        1e-4, 0.0, 100.0, "gamma of the R1 penalty on a patch's score (arXiv 1801.04406)"
    )
    r1_every: Whole = setting(8, 1, 64, "steps from one R1 penalty to the next")
    feature_weight: float = setting(0.2, 0.0, 1000.0, "weight of feature matching")
    photo_weight: float = setting(
        10.0, 0.0, 1000.0, "weight of the L1 difference; stands in for pix2pixHD's perceptual loss"
    )
    photo_cells: Whole = setting(
        64,
        1,
        1024,
        "cells a side whose means the L1 difference compares; it says nothing of what is finer",
    )
    vessel_emphasis: float = setting(
        4.0, 0.0, 100.0, "how much dearer a difference is on vessels and their rim"
    )
    reading_weight: float = setting(
        0.35,
        0.0,
        1000.0,
        "weight of the difference that a segmenter of other real pairs sees in where vessels are",
    )
    reading_rate: float = setting(1e-3, 1e-6, 1e-1, "of all segmenters' Adam; falls likewise")
    kl_weight: float = setting(
        0.02, 0.0, 10.0, "weight that draws style codes to the standard normal"
    )
    foreign_style_every: Whole = setting(
        4, 2, 1000, "each so many steps the style is noise, as it is in an order"
    )
    average_images: float = setting(
        300.0, 1.0, 1e6, "half-life of the weight average, in images", gpu=5000.0
    )


class HyperParameters(BaseModel):
    """Hyper-parameters of both stages; those that are not given have their defaults."""

    model_config = ConfigDict(extra="forbid", strict=True)

    vessel: VesselSettings = VesselSettings()
    photo: PhotoSettings = PhotoSettings()
