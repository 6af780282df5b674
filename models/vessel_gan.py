"""Stage one: a progressively growing GAN that draws vessel maps from noise.

Karras et al. 2018, arXiv 1710.10196, made lean: 20 maps need neither 512 channels nor 12 million
images. Levels change size by strided 4 x 4 convolutions (as DCGAN's do, arXiv 1511.06434), not by
resizing beside two 3 x 3 ones: at equal channels a training step takes less than half the
arithmetic, and on 20 maps more steps beat deeper levels. Maps are one-channel and soft: -1 is
background, 1 is vessel.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch.nn.functional as F
from torch import Tensor, nn

from models.layers import (
    EqualConv2d,
    EqualDownConv2d,
    EqualLinear,
    EqualUpConv2d,
    append_minibatch_deviation,
    pixel_norm,
)

CHANNELS = {4: 96, 8: 96, 16: 96, 32: 96, 64: 64, 128: 32, 256: 8, 512: 8, 1024: 8}


@dataclass(frozen=True)
class VesselConfig:
    """Shape of both stage-one networks: ``channels[i]`` feature maps at ``4 * 2**i`` pixels."""

    channels: tuple[int, ...]
    latent: int = 128

    def __post_init__(self) -> None:
        object.__setattr__(self, "channels", tuple(self.channels))
        if not self.channels or min(*self.channels, self.latent) < 1:
            raise ValueError("vessel network: channels and latent must be positive whole numbers")

    @property
    def resolution(self) -> int:
        return 4 * 2 ** (len(self.channels) - 1)

    @property
    def resolutions(self) -> tuple[int, ...]:
        return tuple(4 * 2**i for i in range(len(self.channels)))

    def level(self, resolution: int) -> int:
        """Index of a resolution; ValueError names the ones there are."""
        if resolution not in self.resolutions:
            raise ValueError(f"resolution {resolution} is not one of {self.resolutions}")
        return self.resolutions.index(resolution)

    @classmethod
    def for_resolution(cls, resolution: int) -> VesselConfig:
        """The lean default for a power of two from 8 to 1024 pixels."""
        if resolution not in CHANNELS or resolution < 8:
            raise ValueError(
                f"resolution {resolution}: use one of {[r for r in CHANNELS if r > 4]}"
            )
        return cls(tuple(c for r, c in CHANNELS.items() if r <= resolution))


def _activate(x: Tensor) -> Tensor:
    return F.leaky_relu(x, 0.2)


class VesselGenerator(nn.Module):
    """Noise to vessel map, at any of the resolutions it has grown through."""

    def __init__(self, config: VesselConfig):
        super().__init__()
        self.config = config
        first, *rest = config.channels
        # The dense layer's gain is sqrt(2) / 4 because it feeds 16 positions (arXiv 1710.10196, A).
        self.dense = EqualLinear(config.latent, first * 16, gain=2**0.5 / 4)
        pairs = zip(config.channels, rest, strict=False)
        self.levels = nn.ModuleList(
            nn.Sequential(EqualUpConv2d(a, b), EqualConv2d(b, b)) for a, b in pairs
        )
        self.to_map = nn.ModuleList(EqualConv2d(c, 1, 1, gain=1.0) for c in config.channels)

    def forward(self, z: Tensor, resolution: int | None = None, fade: float = 1.0) -> Tensor:
        """Draw maps.

        Args:
            z: [B, latent] standard normal noise; only its direction matters.
            resolution: side in pixels; the largest if None.
            fade: 0 shows the level below, upsampled; 1 the new level alone.

        Returns:
            [B, 1, resolution, resolution], nominally within [-1, 1], not clipped.
        """
        level = self.config.level(resolution or self.config.resolution)
        x = below = pixel_norm(_activate(self.dense(pixel_norm(z)).view(len(z), -1, 4, 4)))
        for convolutions in self.levels[:level]:
            below = x
            for convolution in convolutions.children():
                x = pixel_norm(_activate(convolution(x)))
        drawn = self.to_map[level](x)
        if level and fade < 1.0:
            old = F.interpolate(self.to_map[level - 1](below), scale_factor=2, mode="nearest")
            drawn = old.lerp(drawn, fade)
        return drawn


class VesselDiscriminator(nn.Module):
    """One strided convolution a level, with minibatch deviation before the last block."""

    def __init__(self, config: VesselConfig):
        super().__init__()
        self.config = config
        first, *rest = config.channels
        pairs = zip(config.channels, rest, strict=False)
        self.from_map = nn.ModuleList(EqualConv2d(1, c) for c in config.channels)
        self.levels = nn.ModuleList(EqualDownConv2d(b, a) for a, b in pairs)
        self.last = EqualConv2d(first + 1, first)
        self.dense = EqualLinear(first * 16, first)
        self.score = EqualLinear(first, 1, gain=1.0)

    def forward(self, maps: Tensor, fade: float = 1.0) -> Tensor:
        """Score maps of [B, 1, R, R], R one of the resolutions; [B], higher is more real."""
        level = self.config.level(maps.shape[-1])
        x = _activate(self.from_map[level](maps))
        for i in range(level, 0, -1):
            x = _activate(self.levels[i - 1](x))
            if i == level and fade < 1.0:
                old = _activate(self.from_map[level - 1](F.avg_pool2d(maps, 2)))
                x = old.lerp(x, fade)
        x = _activate(self.last(append_minibatch_deviation(x)))
        return self.score(_activate(self.dense(x.flatten(1)))).squeeze(1)
