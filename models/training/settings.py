"""Hyper-parameters of both stages: for each its default, its bounds and what it means.

The one place that says so: the command's help, a service's schema and the checks are made from it.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, fields, replace
from typing import Any, ClassVar, Self

from models.translator import VESSEL_FROM, TranslatorConfig
from models.vessel_gan import CHANNELS, VesselConfig

DRAWN = max(CHANNELS)  # pixels a side: larger maps and photographs are enlarged from this size


def setting(
    default: float, least: float, most: float, meaning: str, *, gpu: float | None = None
) -> Any:
    """A field within [least, most]; whole numbers if the default is one; ``gpu`` is its default there."""
    facts = {"least": least, "most": most, "meaning": meaning, "gpu": gpu}
    return field(default=default, metadata=facts)


class SettingsError(ValueError):
    """A hyper-parameter that cannot be; the message begins with its stage and name."""


@dataclass(frozen=True)
class Settings:
    """Checks itself.

    Raises:
        SettingsError: naming the field, and the bounds it must lie within.
    """

    stage: ClassVar[str]

    def __post_init__(self) -> None:
        for one in fields(self):
            value, whole = getattr(self, one.name), isinstance(one.default, int)
            least, most = one.metadata["least"], one.metadata["most"]
            kinds = (int,) if whole else (int, float)
            if (
                not isinstance(value, kinds)
                or isinstance(value, bool)
                or not least <= value <= most
            ):
                kind = "a whole number" if whole else "a number"
                raise SettingsError(
                    f"{self.stage}.{one.name}: {value!r}, must be {kind} within {least} and {most}"
                )

    @classmethod
    def choose(cls, gpu: bool, chosen: Mapping[str, Any] | None = None) -> Self:
        """The device's defaults, but for what is ``chosen``.

        Raises:
            SettingsError: if a name is unknown or a value out of bounds.
        """
        chosen = chosen or {}
        names = {one.name for one in fields(cls)}
        for name in chosen:
            if name not in names:
                raise SettingsError(
                    f"{cls.stage}.{name}: no such setting, use one of {sorted(names)}"
                )
        return cls(
            **{facts["name"]: facts["default"] for facts in cls.describe(gpu)} | dict(chosen)
        )

    @classmethod
    def describe(cls, gpu: bool) -> list[dict[str, Any]]:
        """For each setting its name, default on the device, least, most and meaning."""
        return [
            {
                "name": one.name,
                "default": one.metadata["gpu"] or one.default if gpu else one.default,
                **{key: one.metadata[key] for key in ("least", "most", "meaning")},
            }
            for one in fields(cls)
        ]


@dataclass(frozen=True)
class StageOneSettings(Settings):
    """Hyper-parameters of the vessel map generator; the defaults were found on 20 maps of 256 px.

    They serve every resolution: what should differ, the batch, R1 and the feature maps, is scaled.
    """

    stage = "vessel"

    learning_rate: float = setting(
        2e-3, 1e-6, 1e-1, "of Adam, both networks; falls to a fifth at the end"
    )
    batch: int = setting(8, 4, 1024, "maps a step", gpu=32)
    largest_batch_at: int = setting(
        128, 4, 1024, "above this resolution the batch is halved with each doubling"
    )
    smallest_batch: int = setting(4, 4, 1024, "but not below this", gpu=16)
    width: float = setting(
        1.0, 0.125, 8.0, "feature maps, as a multiple of 96 to 32 px, 64, 32, and 8 at 256 px"
    )
    latent: int = setting(128, 2, 1024, "numbers of noise that a map is drawn from")
    r1_per_pixel: float = setting(
        5e-5,
        0.0,
        1e-2,
        "gamma of the R1 penalty (arXiv 2006.06676), a pixel: 0.05 at 32 px, 3.3 at 256 px",
    )
    r1_smallest: int = setting(
        32, 4, 1024, "below this resolution gamma is that of this resolution"
    )
    r1_every: int = setting(8, 1, 64, "steps from one R1 penalty to the next")
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
    augmentation_images: int = setting(
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
    collapse_images: int = setting(
        2000, 8, 10_000_000, "images over which they are alike before the run is stopped"
    )

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.augmentation_least > self.augmentation_most:
            raise SettingsError(
                f"vessel.augmentation_least: {self.augmentation_least}, must not be above "
                f"augmentation_most, {self.augmentation_most}"
            )

    def config(self, resolution: int) -> VesselConfig:
        """Shape of the networks for a resolution.

        Raises:
            ValueError: if the resolution is not a power of two that there are channels for.
        """
        lean = VesselConfig.for_resolution(resolution)
        channels = _scaled(lean.channels, self.width)
        return replace(lean, channels=channels, latent=self.latent)


@dataclass(frozen=True)
class StageTwoSettings(Settings):
    """Hyper-parameters of the translator."""

    stage = "photo"

    learning_rate: float = setting(2e-4, 1e-6, 1e-1, "of Adam; falls to zero in the second half")
    discriminator_rate: float = setting(
        2e-3, 1e-6, 1e-1, "of the discriminator's Adam; falls likewise"
    )
    batch: int = setting(2, 1, 1024, "pairs a step", gpu=16)
    width: float = setting(1.0, 0.125, 8.0, "feature maps, as a multiple of 24, 48, 96, 192, 192")
    blocks: int = setting(5, 0, 32, "residual blocks")
    style: int = setting(16, 1, 256, "numbers of a style code")
    noise: int = setting(2, 0, 64, "planes of noise, which texture is made of")
    threshold: float = setting(
        VESSEL_FROM,
        0.01,
        0.99,
        "share of a pixel from which it counts as vessel: at a half, vessels thinner than a pixel "
        "vanish; much lower, they grow fat",
    )
    window: int = setting(
        160,
        64,
        1024,
        "side of the part of a photograph that the discriminator judges in a step, in pixels",
        gpu=1024,
    )
    r1: float = setting(
        1e-4, 0.0, 100.0, "gamma of the R1 penalty on a patch's score (arXiv 1801.04406)"
    )
    r1_every: int = setting(8, 1, 64, "steps from one R1 penalty to the next")
    feature_weight: float = setting(0.2, 0.0, 1000.0, "weight of feature matching")
    photo_weight: float = setting(
        10.0, 0.0, 1000.0, "weight of the L1 difference; stands in for pix2pixHD's perceptual loss"
    )
    photo_cells: int = setting(
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
    foreign_style_every: int = setting(
        4, 2, 1000, "each so many steps the style is noise, as it is in an order"
    )
    average_images: float = setting(
        300.0, 1.0, 1e6, "half-life of the weight average, in images", gpu=5000.0
    )

    def config(self, resolution: int) -> TranslatorConfig:
        """Shape of the translator for a resolution, a power of two."""
        channels = _scaled(TranslatorConfig().channels, self.width)
        enlargements = max(0, (resolution // DRAWN).bit_length() - 1)
        return TranslatorConfig(
            channels,
            self.blocks,
            self.style,
            self.noise,
            enlargements,
            shares=True,
            anchored=enlargements > 0,
        )


def _scaled(channels: tuple[int, ...], width: float) -> tuple[int, ...]:
    return tuple(max(1, round(count * width)) for count in channels)
