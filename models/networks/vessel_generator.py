"""Stage one: a progressively growing GAN of maps (Karras et al. 2018, arXiv 1710.10196).

It settles where disc and vessels lie; what is finer is added by doublings (:mod:`models.networks.upsamplers`).
Levels change size by strided 4 x 4 convolutions, as DCGAN's do (arXiv 1511.06434): at equal channels a step
takes less than half the arithmetic of resizing beside two 3 x 3 ones. The field of view is given at every level.
"""

from __future__ import annotations

from itertools import pairwise

import torch
import torch.nn.functional as F
from pydantic import Field
from pydantic.dataclasses import dataclass
from torch import Tensor, nn

from models.layers import (
    EqualConv2d,
    EqualDownConv2d,
    EqualLinear,
    EqualUpConv2d,
    append_minibatch_deviation,
)
from models.networks.blocks import activate, pixel_norm

# Side of the features that local scores are taken from: each sees about a quarter of the map's side.
PATCHES = 16


@dataclass(frozen=True)
class MapConfig:
    """Shape of the map generator and its discriminator."""

    maps: int = Field(
        default=2, ge=1, description="channels that are drawn: vessels and optic disc"
    )
    latent: int = Field(default=128, ge=2, description="numbers that a map is drawn from")
    channels: tuple[int, ...] = Field(
        default=(128, 128, 128, 128, 96),
        min_length=2,
        description="feature maps at 4, 8, ... pixels",
    )

    @property
    def resolutions(self) -> tuple[int, ...]:
        """Sides of the levels, in pixels."""
        return tuple(4 * 2**i for i in range(len(self.channels)))

    @property
    def resolution(self) -> int:
        """Side of the largest level."""
        return self.resolutions[-1]


class MapGenerator(nn.Module):
    """Noise and field of view to a map, at any of the resolutions it has grown through."""

    def __init__(self, config: MapConfig):
        super().__init__()
        self.config = config
        channels = config.channels
        # The dense layer's gain is sqrt(2) / 4 because it feeds 16 positions (arXiv 1710.10196, A).
        self.dense = EqualLinear(config.latent, channels[0] * 16, gain=2**0.5 / 4)
        self.first = EqualConv2d(channels[0] + 1, channels[0])
        self.up = nn.ModuleList(EqualUpConv2d(a, b) for a, b in pairwise(channels))
        self.joined = nn.ModuleList(EqualConv2d(c + 1, c) for c in channels[1:])
        self.heads = nn.ModuleList(EqualConv2d(c, config.maps, 1, gain=1.0) for c in channels)

    def forward(
        self, z: Tensor, fields: Tensor, resolution: int | None = None, fade: float = 1.0
    ) -> Tensor:
        """Draw maps.

        Args:
            z: [B, latent], standard normal; only its direction matters.
            fields: [B, 1, S, S], 1 within the field of view, else 0; S a multiple of the resolution.
            resolution: side in pixels; the largest if None.
            fade: 0 shows the level below, doubled; 1 the new level alone.

        Returns:
            [B, maps, resolution, resolution], nominally within [0, 1], 0 outside the field of view.
        """
        resolution = resolution or self.config.resolution
        level = self.config.resolutions.index(resolution)
        x = self.dense(pixel_norm(z)).view(len(z), -1, 4, 4)
        x = self._joined(self.first, activate(x), fields)
        below = x
        for up, joined in zip(self.up[:level], self.joined[:level], strict=True):  # type: ignore[index]
            below, x = x, self._joined(joined, pixel_norm(activate(up(x))), fields)
        maps = self.heads[level](x).float()
        if level and fade < 1.0:
            old = F.interpolate(self.heads[level - 1](below).float(), scale_factor=2.0)
            maps = old.lerp(maps, fade)
        # Heads give values within [-1, 1], where weights of unit variance learn fastest.
        return (maps + 1) / 2 * _at(fields, resolution)

    def _joined(self, convolution: nn.Module, x: Tensor, fields: Tensor) -> Tensor:
        given = _at(fields, x.shape[-1]).to(x.dtype)
        return pixel_norm(activate(convolution(torch.cat([x, given], 1))))


class MapDiscriminator(nn.Module):
    """The mirror image: one score of the whole map, and scores of its parts."""

    def __init__(self, config: MapConfig):
        super().__init__()
        self.config = config
        channels, inputs = config.channels, config.maps + 1
        first = channels[0]
        self.stems = nn.ModuleList(EqualConv2d(inputs, c, 1) for c in channels)
        self.down = nn.ModuleList(EqualDownConv2d(b, a) for a, b in pairwise(channels))
        self.patch_head = EqualConv2d(channels[config.resolutions.index(PATCHES)], 1, gain=1.0)
        self.last = EqualConv2d(first + 1, first)
        self.dense = EqualLinear(first * 16, first)
        self.score = EqualLinear(first, 1, gain=1.0)

    def forward(
        self, maps: Tensor, fields: Tensor, fade: float = 1.0
    ) -> tuple[Tensor, Tensor | None]:
        """Score maps [B, maps, R, R] in [0, 1] with their fields [B, 1, R, R].

        Returns:
            scores of the whole, [B], and of parts, [B, PATCHES, PATCHES] (none where R is not larger); higher
            is more real.
        """
        shown = torch.cat([maps * 2 - 1, fields], 1)
        level = self.config.resolutions.index(maps.shape[-1])
        x = activate(self.stems[level](shown))
        patches = None
        for i in range(level, -1, -1):
            newest = i == level - 1
            if newest and fade < 1.0:
                old = activate(self.stems[i](F.avg_pool2d(shown, 2)))
                x = old.lerp(x, fade)
            if i == 0:
                break
            if self.config.resolutions[i] == PATCHES and level > i:
                patches = self.patch_head(x).float()[:, 0]
            x = activate(self.down[i - 1](x))
        x = activate(self.last(append_minibatch_deviation(x)))
        whole = self.score(activate(self.dense(x.flatten(1)))).float().squeeze(1)
        return whole, patches


def _at(fields: Tensor, resolution: int) -> Tensor:
    return F.avg_pool2d(fields, fields.shape[-1] // resolution)
