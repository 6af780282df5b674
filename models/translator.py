"""Stage two: from vessel map, field of view and style code to a fundus photograph.

Of the pix2pixHD family (Wang et al. 2018, arXiv 1711.11585): encoder, residual blocks, decoder,
instance norm. Seven things differ, each for a reason seen on 20 fundus pairs:

* the decoder is given the map again at each scale: four stride-2 steps alone squeeze thin vessels away;
* the map says how much of each pixel is vessel: thin vessels are fainter in photographs than wide
  ones, and edges lie within a pixel, so that a label of whole pixels says too little of either;
* the field of view is an input and black outside it is computed, not learned: a mask is exact;
* a style code modulates every block (adaptive instance norm, Huang and Belongie 2017, arXiv
  1703.06868), so that one map gives many photographs;
* white noise is told at each scale (as in StyleGAN, arXiv 1812.04948): mottling, reflexes and grain
  follow from neither map nor style, and a network that has nothing to make them of averages them away;
* photographs above 256 px are enlarged from those of 256 px, map in hand (pix2pixHD's local enhancer,
  3.1): what is finer than that is the edge of a vessel, which the map tells, and grain;
* the discriminator has no norm, which would hide how strong a contrast is, looks at patches of an
  eighth to a half of the side, and is shown the fine detail by itself.
"""

from __future__ import annotations

import itertools
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from models.layers import EqualConv2d, EqualDownConv2d

# What the networks are told of the map at each scale: its share, its strongest pixel (a thin vessel
# survives a maximum, not a mean), the field of view, and the position across and down.
GUIDES = 5
ENLARGER = 32  # feature maps
# Share of a pixel from which it counts as vessel. At this the vessel share at 256 px is that of the
# full-size label; at a half, vessels thinner than a pixel vanish; much lower, they grow fat.
VESSEL_FROM = 0.35


@dataclass(frozen=True)
class TranslatorConfig:
    """Shape of the translator: ``channels[i]`` feature maps after ``i`` halvings. ``noise``: planes of
    noise that it is told. ``enlargements``: how often its photograph is doubled in size. ``shares``:
    whether its map says how much of each pixel is vessel, or only which pixels are. ``anchored``: whether
    four pixels of an enlarged photograph have the light of the one that they come from, as four of a real
    one have. Packages from before there were any name none."""

    channels: tuple[int, ...] = (24, 48, 96, 192, 192)
    blocks: int = 5
    style: int = 16
    noise: int = 0
    enlargements: int = 0
    shares: bool = False
    anchored: bool = False

    def __post_init__(self) -> None:
        object.__setattr__(self, "channels", tuple(self.channels))
        if len(self.channels) < 2 or min(*self.channels, self.style) < 1:
            raise ValueError("translator: needs two or more channels, all positive, and a style")
        if min(self.blocks, self.noise, self.enlargements) < 0:
            raise ValueError("translator: blocks, noise and enlargements must not be negative")

    @property
    def stride(self) -> int:
        """Map sides must be multiples of this."""
        return 2 ** (len(self.channels) - 1 + self.enlargements)


def guide(vessels: Tensor, field: Tensor, noise: Tensor) -> Tensor:
    """What the networks see of an order: [B, 1, H, W] vessels and field of view in {0, 1}, [B, N, H, W]
    noise -> [B, 5 + N, H, W]."""
    b, _, h, w = vessels.shape
    across = torch.linspace(-1, 1, w, device=vessels.device, dtype=vessels.dtype)
    down = torch.linspace(-1, 1, h, device=vessels.device, dtype=vessels.dtype)
    position = torch.stack(torch.broadcast_tensors(across[None, :], down[:, None]))
    return torch.cat([vessels, vessels, field, position.expand(b, 2, h, w), noise], dim=1)


def _halve(guides: Tensor) -> Tensor:
    pooled = F.avg_pool2d(guides, 2)
    strongest = F.max_pool2d(guides[:, 1:2], 2)
    # The mean of four has half their deviation: noise is kept at one.
    return torch.cat([pooled[:, :1], strongest, pooled[:, 2:GUIDES], 2 * pooled[:, GUIDES:]], dim=1)


class StyledConv(nn.Module):
    """3 x 3 convolution, instance norm, then scale and shift from the style code."""

    def __init__(self, inputs: int, outputs: int, style: int):
        super().__init__()
        self.convolution = nn.Conv2d(inputs, outputs, 3, padding=1, bias=False)
        self.modulation = nn.Linear(style, 2 * outputs)

    def forward(self, x: Tensor, style: Tensor) -> Tensor:
        x = F.instance_norm(self.convolution(x))
        scale, shift = self.modulation(style)[:, :, None, None].to(x.dtype).chunk(2, dim=1)
        return torch.addcmul(shift, x, 1 + scale)


class ResidualBlock(nn.Module):
    """Two styled convolutions around an identity; [B, C, H, W] -> the same."""

    def __init__(self, channels: int, style: int):
        super().__init__()
        self.first = StyledConv(channels, channels, style)
        self.second = StyledConv(channels, channels, style)

    def forward(self, x: Tensor, style: Tensor) -> Tensor:
        return x + self.second(F.relu(self.first(x, style)), style)


def _doubled(x: Tensor, dim: int) -> Tensor:
    """Linear interpolation to twice the size, as F.interpolate without aligned corners, but to the last
    bit the same with any number of threads."""
    last = x.shape[dim] - 1
    places = torch.arange(last + 1, device=x.device)
    near = 0.75 * x
    sides = [near + 0.25 * x.index_select(dim, places.add(step).clamp(0, last)) for step in (-1, 1)]
    return torch.stack(sides, dim=dim + 1).flatten(dim, dim + 1)


def _twice(planes: Tensor) -> Tensor:
    """[B, C, H, W] -> [B, C, 2H, 2W], between the pixels by distance."""
    return _doubled(_doubled(planes, 2), 3)


class PhotoEnlarger(nn.Module):
    """A photograph at twice its size, with the vessel map of that size.

    Works at the smaller size, where it is told the map as four planes, and shuffles (Shi et al. 2016,
    arXiv 1609.05158). ``anchored``: what would change the photograph at its own size is taken back, once
    (Irani & Peleg 1991, doi 10.1016/1049-9652(91)90045-L).
    """

    def __init__(self, anchored: bool = False, width: int = ENLARGER):
        super().__init__()
        self.anchored = anchored
        widths = (3 + 4, width, width, width, width)
        self.convolutions = nn.ModuleList(
            nn.Conv2d(a, b, 3, padding=1) for a, b in itertools.pairwise(widths)
        )
        self.quarters = nn.Conv2d(width, 12, 3, padding=1)

    def forward(self, photo: Tensor, vessels: Tensor) -> Tensor:
        """[B, 3, H, W] in [-1, 1], [B, 1, 2H, 2W] in {0, 1} -> [B, 3, 2H, 2W] in [-1, 1]."""
        x = torch.cat([photo, F.pixel_unshuffle(vessels, 2)], dim=1)
        for convolution in self.convolutions:
            x = F.leaky_relu(convolution(x), 0.2)
        enlarged = _twice(photo) + F.pixel_shuffle(self.quarters(x), 2).float()
        if self.anchored:
            enlarged = enlarged + _twice(photo - F.avg_pool2d(enlarged, 2))
        return enlarged.clamp(-1, 1)


class Translator(nn.Module):
    """Vessel map, field of view and style code to photograph."""

    def __init__(self, config: TranslatorConfig):
        super().__init__()
        self.config = config
        channels, style, guides = config.channels, config.style, GUIDES + config.noise
        self.stem = nn.Conv2d(guides, channels[0], 7, padding=3)
        self.down = nn.ModuleList(
            nn.Conv2d(a, b, 3, stride=2, padding=1, bias=False)
            for a, b in itertools.pairwise(channels)
        )
        self.blocks = nn.ModuleList(
            ResidualBlock(channels[-1], style) for _ in range(config.blocks)
        )
        self.up = nn.ModuleList(
            StyledConv(a + guides, b, style)
            for a, b in zip(channels[:0:-1], channels[-2::-1], strict=True)
        )
        self.refine = StyledConv(channels[0] + guides, channels[0], style)
        self.to_photo = nn.Conv2d(channels[0], 3, 5, padding=2)
        self.enlargers = nn.ModuleList(
            PhotoEnlarger(config.anchored) for _ in range(config.enlargements)
        )

    def forward(
        self, vessels: Tensor, field: Tensor, style: Tensor, noise: Tensor | None = None
    ) -> Tensor:
        """Render photographs.

        Args:
            vessels: [B, 1, H, W], 1 on vessels, else 0, or the share of each pixel that is vessel where
                ``config.shares``; H and W multiples of ``config.stride``.
            field: [B, 1, H, W], 1 inside the field of view, else 0.
            style: [B, config.style], standard normal.
            noise: [B, config.noise, H / 2^n, W / 2^n] after n enlargements, standard normal; may be
                None where the config has none.

        Returns:
            [B, 3, H, W] RGB in [-1, 1], exactly -1 (black) where ``field`` is 0.

        Raises:
            ValueError: if H or W is not a multiple of ``config.stride``, or the noise is not as the
                config has it.
        """
        if any(side % self.config.stride for side in vessels.shape[2:]):
            raise ValueError(
                f"map of {tuple(vessels.shape[2:])} pixels: sides must be multiples of {self.config.stride}"
            )
        if not self.enlargers:
            return self.drawn(vessels, field, style, noise)
        shrink = 2 ** len(self.enlargers)
        small = F.avg_pool2d(vessels, shrink)
        if not self.config.shares:
            small = (small > VESSEL_FROM).to(vessels.dtype)
        photo = self.drawn(small, F.max_pool2d(field, shrink), style, noise)
        for enlarger in self.enlargers:
            shrink //= 2
            share = F.avg_pool2d(vessels, shrink)
            photo = enlarger(photo, (share > VESSEL_FROM).to(vessels.dtype))
        return (photo + 1) * field - 1

    def drawn(
        self, vessels: Tensor, field: Tensor, style: Tensor, noise: Tensor | None = None
    ) -> Tensor:
        """The photograph before it is enlarged, for map, field of view and noise of its own size."""
        noise = vessels[:, :0] if noise is None else noise
        if noise.shape[1] != self.config.noise:
            raise ValueError(f"{noise.shape[1]} planes of noise, expected {self.config.noise}")
        guides = [guide(vessels, field, noise)]
        x = F.relu(F.instance_norm(self.stem(guides[0])))
        for convolution in self.down:
            guides.append(_halve(guides[-1]))
            x = F.relu(F.instance_norm(convolution(x)))
        for block in self.blocks:
            x = block(x, style)
        for step, told in zip(self.up, guides[-2::-1], strict=True):
            x = F.interpolate(x, scale_factor=2, mode="nearest")
            x = F.relu(step(torch.cat([x, told.to(x.dtype)], dim=1), style))
        x = F.relu(self.refine(torch.cat([x, guides[0].to(x.dtype)], dim=1), style))
        photo = torch.tanh(self.to_photo(x).float())
        return (photo + 1) * field - 1


class StyleEncoder(nn.Module):
    """Photograph to the mean and log variance of its style code (as in a variational auto-encoder)."""

    def __init__(self, style: int, width: int = 16):
        super().__init__()
        widths = [4, width, 2 * width, 4 * width, 4 * width]
        self.convolutions = nn.ModuleList(
            nn.Conv2d(a, b, 3, stride=2, padding=1) for a, b in itertools.pairwise(widths)
        )
        self.head = nn.Linear(4 * width * 16, 2 * style)

    def forward(self, photo: Tensor, field: Tensor) -> tuple[Tensor, Tensor]:
        """[B, 3, H, W] in [-1, 1] and [B, 1, H, W] -> two of [B, style]."""
        x = F.interpolate(torch.cat([photo, field], dim=1), size=(64, 64), mode="area")
        for convolution in self.convolutions:
            x = F.leaky_relu(convolution(x), 0.2)
        mean, log_variance = self.head(x.flatten(1)).float().chunk(2, dim=1)
        return mean, log_variance.clamp(-8, 4)


class PatchDiscriminator(nn.Module):
    """Scores patches of 28 x 28 pixels; a fully convolutional PatchGAN (Isola et al. 2017, arXiv
    1611.07004) with an equalised learning rate in place of a norm."""

    def __init__(self, inputs: int, width: int):
        super().__init__()
        self.convolutions = nn.ModuleList(
            [
                EqualConv2d(inputs, width),
                EqualDownConv2d(width, 2 * width),
                EqualDownConv2d(2 * width, 4 * width),
                EqualConv2d(4 * width, 4 * width),
            ]
        )
        self.score = EqualConv2d(4 * width, 1, gain=1.0)

    def forward(self, x: Tensor) -> list[Tensor]:
        """[B, inputs, H, W] -> the feature maps of each layer; the last holds the patch scores."""
        features = []
        for convolution in self.convolutions:
            x = F.leaky_relu(convolution(x), 0.2)
            features.append(x)
        return [*features, self.score(x)]


# Pixels around which the mean is taken that fine detail differs from, and how much stronger it is
# shown: of the order of one. At a quarter of that a discriminator had learned in 72 steps what it has
# now learned in 18.
DETAIL, DETAIL_GAIN = 9, 16.0


def fine_detail(photo: Tensor, field: Tensor) -> Tensor:
    """What differs from the mean of its surroundings, stronger; 0 near the rim of the field of view.

    photo [B, C, H, W] and field [B, 1, H, W] -> [B, C, H, W].
    """
    around = F.avg_pool2d(photo, DETAIL, stride=1, padding=DETAIL // 2, count_include_pad=False)
    inner = -F.max_pool2d(-field, DETAIL, stride=1, padding=DETAIL // 2)
    return (photo - around) * inner * DETAIL_GAIN


class MultiScaleDiscriminator(nn.Module):
    """A patch discriminator each for the photograph and its copies of half, quarter ... size
    (pix2pixHD, 3.2)."""

    def __init__(self, scales: int = 3, width: int = 24):
        super().__init__()
        self.scales = nn.ModuleList(PatchDiscriminator(2 + 3 + 1 + 3, width) for _ in range(scales))

    def forward(
        self, vessels: Tensor, field: Tensor, photo: Tensor, found: Tensor
    ) -> list[list[Tensor]]:
        """Features for each scale, each list ending with the scores.

        vessels, field and what a segmenter has ``found`` [B, 1, H, W], 0 to 1; photo [B, 3, H, W], -1 to 1.
        """
        x = torch.cat([vessels, field, photo, found], dim=1)
        features = []
        for i, scale in enumerate(self.scales):
            if i:
                x = F.avg_pool2d(x, 2)
            features.append(scale(torch.cat([x, fine_detail(x[:, 2:5], x[:, 1:2])], dim=1)))
        return features
