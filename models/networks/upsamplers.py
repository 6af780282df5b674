"""Doublings: what a finer level adds to maps and to photographs that the coarser one could not hold."""

from __future__ import annotations

from collections.abc import Sequence

import torch
import torch.nn.functional as F
from pydantic import Field
from pydantic.dataclasses import dataclass
from torch import Tensor, nn

from models.networks.conditional_unet import ConditionalUNet, UNetConfig

# The most that a coarser map is believed: at 0 and 1 logits have no end.
CERTAIN = 0.02


@dataclass(frozen=True)
class UpsamplerConfig:
    """Shape of a doubling."""

    maps: int = Field(default=4, ge=1, description="channels of a map")
    style: int = Field(default=16, ge=1, description="numbers of a style, or of a map's latent")
    noise: int = Field(default=2, ge=1, description="planes of noise at each scale")
    channels: tuple[int, ...] = Field(
        default=(32, 48, 64), min_length=2, description="feature maps at 1/2, 1/4, ... of the side"
    )

    def unet(self, inputs: int, outputs: int) -> UNetConfig:
        """Without positions: it is trained on crops."""
        return UNetConfig(inputs, outputs, self.style, self.noise, self.channels, False)

    def noise_shapes(self, side: int) -> list[tuple[int, int, int]]:
        """As :meth:`models.networks.conditional_unet.UNetConfig.noise_shapes`."""
        return self.unet(1, 1).noise_shapes(side)


class MapUpsampler(nn.Module):
    """Maps at twice their size: what it draws is added to the logits of the doubled map."""

    def __init__(self, config: UpsamplerConfig):
        super().__init__()
        self.config = config
        self.unet = ConditionalUNet(config.unet(config.maps + 1, config.maps))
        nn.init.zeros_(self.unet.head.weight)  # begin with what is given, doubled

    def forward(
        self, maps: Tensor, fields: Tensor, latent: Tensor, noise: Sequence[Tensor]
    ) -> Tensor:
        """Coarse maps [B, maps, H, W] and fine fields [B, 1, 2H, 2W] to [B, maps, 2H, 2W] in [0, 1].

        latent: [B, style], and noise, shapes as ``config.noise_shapes(2H)`` says: standard normal.
        """
        doubled = double(maps).clamp(0, 1)
        raw, _ = self.unet(torch.cat([doubled, fields], 1), latent, noise)
        logits = torch.logit(doubled.float().clamp(CERTAIN, 1 - CERTAIN)) + 2 * raw
        drawn = ((logits.sigmoid() - CERTAIN) / (1 - 2 * CERTAIN)).clamp(0, 1) * fields
        return drawn


class Enhancer(nn.Module):
    """Photographs at twice their size, given the map at that size (pix2pixHD's local enhancer, arXiv
    1711.11585, 3.1): what it draws is added to the logits of the doubled photograph."""

    def __init__(self, config: UpsamplerConfig):
        super().__init__()
        self.config = config
        self.unet = ConditionalUNet(config.unet(config.maps + 1 + 3, 3))
        nn.init.zeros_(self.unet.head.weight)  # begin with what is given, doubled

    def forward(
        self,
        logits: Tensor,
        maps: Tensor,
        fields: Tensor,
        style: Tensor,
        noise: Sequence[Tensor],
    ) -> tuple[Tensor, Tensor]:
        """Draw photographs.

        Args:
            logits: of the coarser photographs, [B, 3, H, W].
            maps: fine ones, [B, maps, 2H, 2W]. fields: [B, 1, 2H, 2W].
            style: [B, style]. noise: shapes as ``config.noise_shapes(2H)`` says.

        Returns:
            photographs [B, 3, 2H, 2W] in [0, 1], 0 outside the field of view, and their logits.
        """
        doubled = double(logits.clamp(-6, 6))
        condition = torch.cat([maps, fields, doubled.sigmoid()], 1)
        raw, _ = self.unet(condition, style, noise)
        fine = doubled + 2 * raw
        return fine.sigmoid() * fields, fine


def double(planes: Tensor) -> Tensor:
    """Bilinear, [B, C, H, W] -> [B, C, 2H, 2W]."""
    return F.interpolate(planes.float(), scale_factor=2.0, mode="bilinear", align_corners=False)
