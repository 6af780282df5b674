"""Lesions of a drawn eye: where dark and bright ones lie, given its vessels, disc and field of view."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from pydantic import Field
from pydantic.dataclasses import dataclass
from torch import Tensor, nn

from models.networks.conditional_unet import ConditionalUNet, UNetConfig


@dataclass(frozen=True)
class LesionConfig:
    """Shape of the lesion generator."""

    given: int = Field(
        default=2, ge=1, description="channels of the map that are given: vessels and disc"
    )
    lesions: int = Field(
        default=2, ge=1, description="channels that are drawn: dark and bright lesions"
    )
    latent: int = Field(
        default=8, ge=1, description="numbers that say how ill an eye is, and in which way"
    )
    noise: int = Field(default=4, ge=1, description="planes of noise at each scale")
    channels: tuple[int, ...] = Field(
        default=(32, 48, 64, 96, 96),
        min_length=2,
        description="feature maps at 1/2, 1/4, ... of the side",
    )

    @property
    def unet(self) -> UNetConfig:
        """Of the given channels and a field of view to lesions."""
        return UNetConfig(self.given + 1, self.lesions, self.latent, self.noise, self.channels)


class LesionGenerator(nn.Module):
    """Draws lesions as fractions of each pixel."""

    def __init__(self, config: LesionConfig):
        super().__init__()
        self.config = config
        self.unet = ConditionalUNet(config.unet)
        # Most of an eye is sound: begin with a twentieth of each pixel.
        self.bias = nn.Parameter(torch.full((config.lesions, 1, 1), -3.0))

    def forward(
        self, maps: Tensor, fields: Tensor, latent: Tensor, noise: Sequence[Tensor]
    ) -> Tensor:
        """Given [B, given, H, W] and fields [B, 1, H, W], draw [B, lesions, H, W] in [0, 1], 0 outside the field
        of view. latent: [B, latent], and noise, shapes as ``config.unet.noise_shapes`` says: standard normal."""
        raw, _ = self.unet(torch.cat([maps, fields], 1), latent, noise)
        drawn: Tensor = torch.sigmoid(2 * raw + self.bias) * fields
        return drawn
