"""Stage two: a map and a style to a fundus photograph, coarse to fine.

Of the pix2pixHD family (Wang et al. 2018, arXiv 1711.11585), with a style from an encoder.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise
from typing import NamedTuple

import torch
import torch.nn.functional as F
from pydantic import Field
from pydantic.dataclasses import dataclass
from torch import Tensor, nn

from models.layers import EqualConv2d, EqualDownConv2d, EqualLinear
from models.networks.blocks import activate
from models.networks.conditional_unet import ConditionalUNet, UNetConfig


@dataclass(frozen=True)
class TranslatorConfig:
    """Shape of the translator and its style encoder."""

    maps: int = Field(default=4, ge=1, description="channels of a map")
    style: int = Field(default=16, ge=1, description="numbers of a style")
    noise: int = Field(default=2, ge=1, description="planes of noise at each scale")
    channels: tuple[int, ...] = Field(
        default=(48, 64, 96, 128, 160),
        min_length=2,
        description="feature maps at 1/2, 1/4, ... of the side",
    )

    @property
    def unet(self) -> UNetConfig:
        """Of a map and a field of view to red, green and blue."""
        return UNetConfig(self.maps + 1, 3, self.style, self.noise, self.channels)


class Translation(NamedTuple):
    """photograph: [B, 3, H, W] in [0, 1], 0 outside the field of view. logits: before the sigmoid. features:
    [B, channels[0], H / 2, W / 2], what a finer level goes on from."""

    photograph: Tensor
    logits: Tensor
    features: Tensor


class Translator(nn.Module):
    """The coarsest level: maps of 256 px or so to photographs."""

    def __init__(self, config: TranslatorConfig):
        super().__init__()
        self.config = config
        self.unet = ConditionalUNet(config.unet)
        self.colours = EqualLinear(config.style, 6, gain=0.5)

    def forward(
        self, maps: Tensor, fields: Tensor, style: Tensor, noise: Sequence[Tensor]
    ) -> Translation:
        """Draw photographs.

        Args:
            maps: [B, maps, H, W], fractions of each pixel.
            fields: [B, 1, H, W], 1 within the field of view, else 0.
            style: [B, style].
            noise: standard normal, shapes as ``config.unet.noise_shapes`` says.
        """
        raw, features = self.unet(torch.cat([maps, fields], 1), style, noise)
        gain, shift = self.colours(style).float()[..., None, None].chunk(2, 1)
        logits = 2 * (raw * gain.exp() + shift)
        return Translation(logits.sigmoid() * fields, logits, features)


class StyleEncoder(nn.Module):
    """Photographs [B, 3, H, W] in [0, 1] -> mean and log variance of their styles, [B, style] each."""

    def __init__(self, style: int, channels: tuple[int, ...] = (32, 48, 64, 96, 128)):
        super().__init__()
        self.stem = EqualConv2d(12, channels[0])
        self.convolutions = nn.ModuleList(EqualDownConv2d(a, b) for a, b in pairwise(channels))
        self.head = EqualLinear(2 * channels[-1], 2 * style, gain=1.0)

    def forward(self, photographs: Tensor) -> tuple[Tensor, Tensor]:
        x = activate(self.stem(F.pixel_unshuffle(photographs, 2)))
        for convolution in self.convolutions:
            x = activate(convolution(x))
        x = x.float()
        spread = (
            x.var((2, 3), unbiased=False) + 1e-5
        ).sqrt()  # the epsilon keeps the gradient of 0 finite
        code = self.head(torch.cat([x.mean((2, 3)), spread], 1)).float()
        mean, log_variance = code.chunk(2, 1)
        return mean, log_variance.clamp(-6, 2)


def gaussian_sample(mean: Tensor, log_variance: Tensor, normal: Tensor) -> Tensor:
    """mean + deviation * normal."""
    return mean + normal * torch.exp(log_variance / 2)


def kl_to_standard_normal(mean: Tensor, log_variance: Tensor) -> Tensor:
    """Kullback-Leibler divergence from N(0, 1) a number of the style, in nats; a scalar."""
    return (mean.square() + log_variance.exp() - 1 - log_variance).mean() / 2
