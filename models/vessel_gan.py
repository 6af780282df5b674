"""Stage one: a progressively growing GAN that draws vessel maps from noise.

Karras et al. 2018, arXiv 1710.10196, made lean: 20 maps need neither 512 channels nor 12 million
images. Levels change size by strided 4 x 4 convolutions (as DCGAN's do, arXiv 1511.06434), not by
resizing beside two 3 x 3 ones: at equal channels a training step takes less than half the
arithmetic, and on 20 maps more steps beat deeper levels. Maps are one-channel and soft: -1 is
background, 1 is vessel.

What the GAN draws is then refined: 20 maps show it the shape of a tree, but few of its vessels to the
pixel, while a network that sees a part of a map learns from thousands of parts what a vessel looks like.

Maps above 256 px are not drawn but enlarged. A soft map of 256 px, each pixel a share of vessel, says
nearly all there is to know of a larger one, so that a small network learns from the real maps in
minutes what levels of a GAN would need days for.
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from models.layers import (
    EqualConv2d,
    EqualDownConv2d,
    EqualLinear,
    EqualToMap,
    EqualUpConv2d,
    append_minibatch_deviation,
    pixel_norm,
)

CHANNELS = {4: 96, 8: 96, 16: 96, 32: 96, 64: 64, 128: 32, 256: 8}
LARGEST = 1024
ENLARGER = 24  # feature maps
REFINER = (16, 32, 48, 64)  # feature maps at 1, 1/2, 1/4 and 1/8 of the size
PART_DISCRIMINATOR = (24, 48, 96, 96, 96)
CERTAIN = 0.97  # the most that the refiner believes of a pixel, within -1 and 1


@dataclass(frozen=True)
class VesselConfig:
    """Shape of both stage-one networks: ``channels[i]`` feature maps at ``4 * 2**i`` pixels. The map
    of the last is refined if it is ``refined``, then doubled in size ``enlargements`` times."""

    channels: tuple[int, ...]
    latent: int = 128
    enlargements: int = 0
    refined: bool = False

    def __post_init__(self) -> None:
        object.__setattr__(self, "channels", tuple(self.channels))
        if not self.channels or min(*self.channels, self.latent) < 1:
            raise ValueError("vessel network: channels and latent must be positive whole numbers")
        if self.enlargements < 0:
            raise ValueError("vessel network: enlargements must not be negative")
        if self.refined and self.drawn < 2 ** (len(REFINER) - 1):
            raise ValueError("vessel network: maps of less than 8 px cannot be refined")

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
        return cls(channels, enlargements=enlargements, refined=True)


def _activate(x: Tensor) -> Tensor:
    return F.leaky_relu(x, 0.2)


def _all_of(convolutions: nn.Module, x: Tensor) -> Tensor:
    for convolution in convolutions.children():
        x = _activate(convolution(x))
    return x


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
        x = _all_of(self.convolutions, maps.clamp(-1, 1))
        return F.pixel_shuffle(self.quarters(x), 2)

    def forward(self, maps: Tensor) -> Tensor:
        """Enlarge maps."""
        return self.half_log_odds(maps).tanh()


class Refiner(nn.Module):
    """A drawn map with its vessels redrawn: a U-Net (Ronneberger et al. 2015, arXiv 1505.04597) whose
    outcome is added to the log odds of what was drawn. Untaught, it leaves maps nearly as they are.

    Adversarial refinement as in SimGAN (Shrivastava et al. 2017, arXiv 1612.07828).
    [B, 1, H, W] in [-1, 1] -> the same shape in (-1, 1); H and W multiples of 8.
    """

    def __init__(self) -> None:
        super().__init__()
        pairs = list(pairwise(REFINER))
        self.enter = nn.Sequential(EqualConv2d(1, REFINER[0]), EqualConv2d(REFINER[0], REFINER[0]))
        self.down = nn.ModuleList(
            nn.Sequential(EqualDownConv2d(a, b), EqualConv2d(b, b)) for a, b in pairs
        )
        self.up = nn.ModuleList(EqualUpConv2d(b, a) for a, b in pairs)
        self.join = nn.ModuleList(EqualConv2d(2 * a, a) for a, _ in pairs)
        self.change = EqualConv2d(REFINER[0], 1, gain=1.0)
        nn.init.zeros_(self.change.weight)

    def forward(self, maps: Tensor) -> Tensor:
        """Refine maps."""
        maps = maps.float().clamp(-1, 1)
        x = _all_of(self.enter, maps)
        passed = []
        for down in self.down:
            passed.append(x)
            x = _all_of(down, x)
        for up, join in zip(reversed(self.up), reversed(self.join), strict=True):
            x = _activate(join(torch.cat([_activate(up(x)), passed.pop()], dim=1)))
        # At a share of 0 or 1 the log odds have no end.
        return torch.tanh(torch.atanh(CERTAIN * maps) + self.change(x).float())


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
        self.to_map = nn.ModuleList(EqualToMap(c) for c in config.channels)
        self.refiner = Refiner() if config.refined else None
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
        maps = self.draw(z, self.config.resolutions[level], fade)
        if self.refiner and level == len(self.levels):
            maps = self.refiner(maps)
        for enlarger in self.enlargers[: wanted - level]:
            maps = enlarger(maps)
        return maps

    def draw(self, z: Tensor, resolution: int, fade: float = 1.0) -> Tensor:
        """What the GAN alone draws, at one of the resolutions that are drawn, neither refined nor enlarged."""
        level = self.config.level(resolution)
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


class PartDiscriminator(nn.Module):
    """Scores of overlapping parts of maps, each of 80 px (Isola et al. 2017, arXiv 1611.07004)."""

    def __init__(self) -> None:
        super().__init__()
        widths = PART_DISCRIMINATOR
        self.convolutions = nn.Sequential(
            EqualConv2d(1, widths[0]),
            *(EqualDownConv2d(a, b) for a, b in pairwise(widths)),
            EqualConv2d(widths[-1], widths[-1]),
        )
        self.score = EqualConv2d(widths[-1], 1, 1, gain=1.0)

    def forward(self, maps: Tensor) -> Tensor:
        """[B, 1, H, W] in [-1, 1] -> [B, 1, H / 16, W / 16], higher is more real."""
        return self.score(_all_of(self.convolutions, maps))
