"""A U-Net from planes of condition to planes of output, with a style and with noise.

The decoder is modulated by the style. Nothing in it depends on the statistics of the picture, so that a crop is
drawn as the whole is. It works at half the side (pixel-unshuffle in, pixel-shuffle out).
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise

import torch
import torch.nn.functional as F
from pydantic import Field
from pydantic.dataclasses import dataclass
from torch import Tensor, nn

from models.layers import EqualConv2d, EqualDownConv2d, EqualLinear, EqualUpConv2d
from models.networks.blocks import Activation, activate, scale_shift


@dataclass(frozen=True)
class UNetConfig:
    """Shape of a conditional U-Net."""

    inputs: int = Field(ge=1, description="planes of the condition")
    outputs: int = Field(ge=1, description="planes that are drawn")
    style: int = Field(default=16, ge=1, description="numbers of a style")
    noise: int = Field(default=2, ge=0, description="planes of noise at each scale")
    channels: tuple[int, ...] = Field(
        default=(48, 64, 96, 128, 160),
        min_length=2,
        description="feature maps at 1/2, 1/4, ... of the side",
    )

    positions: bool = Field(
        default=True, description="whether it sees where in the frame a pixel is; not for crops"
    )

    def noise_shapes(self, side: int) -> list[tuple[int, int, int]]:
        """Of the noise of one picture of this side: [noise, side / 2, side / 2], then halves."""
        levels = range(1, len(self.channels) + 1)
        return [(self.noise, side >> level, side >> level) for level in levels]


class ConditionalUNet(nn.Module):
    """Condition [B, inputs, H, W], style [B, style] and noise to [B, outputs, H, W], without activation."""

    def __init__(self, config: UNetConfig):
        super().__init__()
        self.config = config
        channels = config.channels
        # The condition, position across and down, and noise.
        places = 2 * config.positions
        self.stem = EqualConv2d(4 * config.inputs + places + config.noise, channels[0])
        self.encoder = nn.ModuleList(
            nn.Sequential(EqualDownConv2d(a, b), Activation(), EqualConv2d(b, b), Activation())
            for a, b in pairwise(channels)
        )
        self.middle = StyledConv2d(channels[-1] + config.noise, channels[-1], config.style)
        self.decoder = nn.ModuleList(
            DecoderBlock(b, a, config) for a, b in reversed(list(pairwise(channels)))
        )
        self.head = EqualConv2d(channels[0], 4 * config.outputs, gain=1.0)

    def forward(
        self, condition: Tensor, style: Tensor, noise: Sequence[Tensor]
    ) -> tuple[Tensor, Tensor]:
        """Draw.

        Args:
            condition: [B, inputs, H, W].
            style: [B, style].
            noise: standard normal, a tensor for each of ``config.noise_shapes``.

        Returns:
            [B, outputs, H, W] float32, and the last features, [B, channels[0], H / 2, W / 2].
        """
        given = F.pixel_unshuffle(condition, 2)
        seen = [given, _position(given), noise[0]] if self.config.positions else [given, noise[0]]
        x = activate(self.stem(torch.cat(seen, 1)))
        skips = []
        for block in self.encoder:
            skips.append(x)
            x = block(x)
        x = self.middle(torch.cat([x, noise[-1].to(x.dtype)], 1), style)
        for block, planes in zip(self.decoder, reversed(noise[:-1]), strict=True):
            x = block(x, skips.pop(), style, planes)
        return F.pixel_shuffle(self.head(x), 2).float(), x


class DecoderBlock(nn.Module):
    """Doubles the size, joins what the encoder had there, and two convolutions: noise enters the first, the
    style scales and shifts what the second gives (FiLM: Perez et al. 2018, arXiv 1709.07871)."""

    def __init__(self, inputs: int, outputs: int, config: UNetConfig):
        super().__init__()
        self.up = EqualUpConv2d(inputs, outputs)
        self.first = EqualConv2d(2 * outputs + config.noise, outputs)
        self.second = StyledConv2d(outputs, outputs, config.style)

    def forward(self, x: Tensor, skip: Tensor, style: Tensor, noise: Tensor) -> Tensor:
        x = torch.cat([activate(self.up(x)), skip, noise.to(x.dtype)], 1)
        return self.second(activate(self.first(x)), style)


class StyledConv2d(nn.Module):
    """3 x 3 convolution, scale and shift of each feature map by a style, activation."""

    def __init__(self, inputs: int, outputs: int, style: int):
        super().__init__()
        self.convolution = EqualConv2d(inputs, outputs)
        self.modulation = EqualLinear(style, 2 * outputs, gain=0.5)

    def forward(self, x: Tensor, style: Tensor) -> Tensor:
        scale, shift = self.modulation(style).chunk(2, 1)
        return activate(scale_shift(self.convolution(x), 1 + scale, shift))


def _position(like: Tensor) -> Tensor:
    """Coordinates across and down within [-1, 1], [B, 2, H, W]."""
    b, _, h, w = like.shape
    down, across = (
        torch.linspace(-1, 1, side, device=like.device, dtype=like.dtype) for side in (h, w)
    )
    grid = torch.stack(torch.broadcast_tensors(across[None, :], down[:, None]))
    return grid.expand(b, 2, h, w)
