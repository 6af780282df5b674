"""Stage one: a progressively growing GAN that draws vessel maps from noise.

Karras et al. 2018, arXiv 1710.10196, made lean: 20 maps need neither 512 channels nor 12 million
images. Levels change size by strided 4 x 4 convolutions (as DCGAN's do, arXiv 1511.06434), not by
resizing beside two 3 x 3 ones: at equal channels a training step takes less than half the
arithmetic, and on 20 maps more steps beat deeper levels. Maps are one-channel and soft: -1 is
background, 1 is vessel.

Maps above 256 px are not drawn but enlarged. A soft map of 256 px, each pixel a share of vessel, says
nearly all there is to know of a larger one, so that a small network learns from the real maps in
minutes what levels of a GAN would need days for.
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

CHANNELS = {4: 96, 8: 96, 16: 96, 32: 96, 64: 64, 128: 32, 256: 8}
LARGEST = 1024
ENLARGER = 24  # feature maps


@dataclass(frozen=True)
class VesselConfig:
    """Shape of both stage-one networks: ``channels[i]`` feature maps at ``4 * 2**i`` pixels. The map
    of the last is doubled in size ``enlargements`` times."""

    channels: tuple[int, ...]
    latent: int = 128
    enlargements: int = 0

    def __post_init__(self) -> None:
        object.__setattr__(self, "channels", tuple(self.channels))
        if not self.channels or min(*self.channels, self.latent) < 1:
            raise ValueError("vessel network: channels and latent must be positive whole numbers")
        if self.enlargements < 0:
            raise ValueError("vessel network: enlargements must not be negative")

    @property
    def resolution(self) -> int:
        return self.drawn * 2**self.enlargements

    @property
    def drawn(self) -> int:
        """The largest resolution that is drawn; above it maps are enlarged."""
        return 4 * 2 ** (len(self.channels) - 1)

    @property
    def resolutions(self) -> tuple[int, ...]:
        return tuple(4 * 2**i for i in range(len(self.channels) + self.enlargements))

    def level(self, resolution: int) -> int:
        """Index of a resolution; ValueError names the ones there are."""
        if resolution not in self.resolutions:
            raise ValueError(f"resolution {resolution} is not one of {self.resolutions}")
        return self.resolutions.index(resolution)

    @classmethod
    def for_resolution(cls, resolution: int) -> VesselConfig:
        """The lean default for a power of two from 8 to 1024 pixels."""
        powers = [2**i for i in range(3, LARGEST.bit_length())]
        if resolution not in powers:
            raise ValueError(f"resolution {resolution}: use one of {powers}")
        enlargements = sum(r > max(CHANNELS) for r in powers if r <= resolution)
        channels = tuple(c for r, c in CHANNELS.items() if r <= resolution)
        return cls(channels, enlargements=enlargements)


def _activate(x: Tensor) -> Tensor:
    return F.leaky_relu(x, 0.2)


class Enlarger(nn.Module):
    """A soft map at twice its size, by convolutions and a shuffle (Shi et al. 2016, arXiv 1609.05158).

    [B, 1, H, W] in [-1, 1] -> [B, 1, 2H, 2W] in (-1, 1).
    """

    def __init__(self, width: int = ENLARGER):
        super().__init__()
        self.convolutions = nn.ModuleList(
            EqualConv2d(a, width) for a in (1, width, width, width, width)
        )
        self.quarters = EqualConv2d(width, 4, gain=1.0)

    def half_log_odds(self, maps: Tensor) -> Tensor:
        """Half the logarithm of the odds of vessel, whose hyperbolic tangent is a soft map."""
        x = maps.clamp(-1, 1)
        for convolution in self.convolutions:
            x = _activate(convolution(x))
        return F.pixel_shuffle(self.quarters(x), 2)

    def forward(self, maps: Tensor) -> Tensor:
        """Enlarge maps."""
        return self.half_log_odds(maps).tanh()


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
        self.enlargers = nn.ModuleList(Enlarger() for _ in range(config.enlargements))

    def forward(self, z: Tensor, resolution: int | None = None, fade: float = 1.0) -> Tensor:
        """Draw maps.

        Args:
            z: [B, latent] standard normal noise; only its direction matters.
            resolution: side in pixels; the largest if None.
            fade: 0 shows the level below, upsampled; 1 the new level alone. Of no effect where maps are
                enlarged.

        Returns:
            [B, 1, resolution, resolution], nominally within [-1, 1], not clipped.
        """
        wanted = self.config.level(resolution or self.config.resolution)
        level = min(wanted, len(self.levels))
        x = below = pixel_norm(_activate(self.dense(pixel_norm(z)).view(len(z), -1, 4, 4)))
        for convolutions in self.levels[:level]:
            below = x
            for convolution in convolutions.children():
                x = pixel_norm(_activate(convolution(x)))
        drawn = self.to_map[level](x)
        if level and fade < 1.0:
            old = F.interpolate(self.to_map[level - 1](below), scale_factor=2, mode="nearest")
            drawn = old.lerp(drawn, fade)
        for enlarger in self.enlargers[: wanted - level]:
            drawn = enlarger(drawn)
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
        """Score maps of [B, 1, R, R], R one of the resolutions that are drawn; [B], higher is more
        real."""
        level = self.config.level(maps.shape[-1])
        x = _activate(self.from_map[level](maps))
        for i in range(level, 0, -1):
            x = _activate(self.levels[i - 1](x))
            if i == level and fade < 1.0:
                old = _activate(self.from_map[level - 1](F.avg_pool2d(maps, 2)))
                x = old.lerp(x, fade)
        x = _activate(self.last(append_minibatch_deviation(x)))
        return self.score(_activate(self.dense(x.flatten(1)))).squeeze(1)
