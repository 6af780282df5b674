"""Stage two: from vessel map, field of view and style code to a fundus photograph.

Of the pix2pixHD family (Wang et al. 2018, arXiv 1711.11585): encoder, residual blocks, decoder,
instance norm. Three things differ, each for a reason seen on 20 fundus pairs:

* the decoder is given the map again at each scale: four stride-2 steps alone squeeze thin vessels away;
* the field of view is an input and black outside it is computed, not learned: a mask is exact;
* a style code modulates every block (adaptive instance norm, Huang and Belongie 2017, arXiv
  1703.06868), so that one map gives many photographs.
"""

from __future__ import annotations

import itertools
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor, nn

# What the networks are told of the map at each scale: its share, its strongest pixel (a thin vessel
# survives a maximum, not a mean), the field of view, and the position across and down.
GUIDES = 5


@dataclass(frozen=True)
class TranslatorConfig:
    """Shape of the translator: ``channels[i]`` feature maps after ``i`` halvings."""

    channels: tuple[int, ...] = (24, 48, 96, 192, 192)
    blocks: int = 5
    style: int = 16

    def __post_init__(self) -> None:
        object.__setattr__(self, "channels", tuple(self.channels))
        if len(self.channels) < 2 or min(*self.channels, self.style) < 1 or self.blocks < 0:
            raise ValueError("translator: needs two or more channels, all positive, and a style")

    @property
    def stride(self) -> int:
        """Map sides must be multiples of this."""
        return 2 ** (len(self.channels) - 1)


def guide(vessels: Tensor, field: Tensor) -> Tensor:
    """What the networks see of an order: [B, 1, H, W] vessels and field of view in {0, 1} -> [B, 5, H, W]."""
    b, _, h, w = vessels.shape
    across = torch.linspace(-1, 1, w, device=vessels.device, dtype=vessels.dtype)
    down = torch.linspace(-1, 1, h, device=vessels.device, dtype=vessels.dtype)
    position = torch.stack(torch.broadcast_tensors(across[None, :], down[:, None]))
    return torch.cat([vessels, vessels, field, position.expand(b, 2, h, w)], dim=1)


def _halve(guides: Tensor) -> Tensor:
    pooled = F.avg_pool2d(guides, 2)
    strongest = F.max_pool2d(guides[:, 1:2], 2)
    return torch.cat([pooled[:, :1], strongest, pooled[:, 2:]], dim=1)


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


class Translator(nn.Module):
    """Vessel map, field of view and style code to photograph."""

    def __init__(self, config: TranslatorConfig):
        super().__init__()
        self.config = config
        channels, style = config.channels, config.style
        self.stem = nn.Conv2d(GUIDES, channels[0], 7, padding=3)
        self.down = nn.ModuleList(
            nn.Conv2d(a, b, 3, stride=2, padding=1, bias=False)
            for a, b in itertools.pairwise(channels)
        )
        self.blocks = nn.ModuleList(
            ResidualBlock(channels[-1], style) for _ in range(config.blocks)
        )
        self.up = nn.ModuleList(
            StyledConv(a + GUIDES, b, style)
            for a, b in zip(channels[:0:-1], channels[-2::-1], strict=True)
        )
        self.refine = StyledConv(channels[0] + GUIDES, channels[0], style)
        self.to_photo = nn.Conv2d(channels[0], 3, 5, padding=2)

    def forward(self, vessels: Tensor, field: Tensor, style: Tensor) -> Tensor:
        """Render photographs.

        Args:
            vessels: [B, 1, H, W], 1 on vessels, else 0; H and W multiples of ``config.stride``.
            field: [B, 1, H, W], 1 inside the field of view, else 0.
            style: [B, config.style], standard normal.

        Returns:
            [B, 3, H, W] RGB in [-1, 1], exactly -1 (black) where ``field`` is 0.

        Raises:
            ValueError: if H or W is not a multiple of ``config.stride``.
        """
        if any(side % self.config.stride for side in vessels.shape[2:]):
            raise ValueError(
                f"map of {tuple(vessels.shape[2:])} pixels: sides must be multiples of {self.config.stride}"
            )
        guides = [guide(vessels, field)]
        x = F.relu(F.instance_norm(self.stem(guides[0])))
        for convolution in self.down:
            guides.append(_halve(guides[-1]))
            x = F.relu(F.instance_norm(convolution(x)))
        for block in self.blocks:
            x = block(x, style)
        for step, told in zip(self.up, guides[-2::-1], strict=True):
            x = F.interpolate(x, scale_factor=2, mode="nearest")
            x = F.relu(step(torch.cat([x, told], dim=1), style))
        x = F.relu(self.refine(torch.cat([x, guides[0]], dim=1), style))
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
    """70 x 70 PatchGAN (Isola et al. 2017, arXiv 1611.07004) that also returns its features."""

    def __init__(self, inputs: int, width: int):
        super().__init__()
        widths = [inputs, width, 2 * width, 4 * width, 8 * width]
        strides = [2, 2, 2, 1]
        self.convolutions = nn.ModuleList(
            nn.Conv2d(a, b, 4, stride=s, padding=1)
            for a, b, s in zip(widths, widths[1:], strides, strict=False)
        )
        self.score = nn.Conv2d(widths[-1], 1, 4, padding=1)

    def forward(self, x: Tensor) -> list[Tensor]:
        """[B, inputs, H, W] -> the feature maps of each layer; the last holds the patch scores."""
        features = []
        for i, convolution in enumerate(self.convolutions):
            x = convolution(x)
            x = F.leaky_relu(F.instance_norm(x) if i else x, 0.2)
            features.append(x)
        return [*features, self.score(x)]


class MultiScaleDiscriminator(nn.Module):
    """The same patch discriminator on the photograph and on its half-size copies (pix2pixHD, 3.2)."""

    def __init__(self, width: int = 32, scales: int = 2):
        super().__init__()
        self.scales = nn.ModuleList(PatchDiscriminator(5, width) for _ in range(scales))

    def forward(self, vessels: Tensor, field: Tensor, photo: Tensor) -> list[list[Tensor]]:
        """Features for each scale, each list ending with the scores."""
        x = torch.cat([vessels, field, photo], dim=1)
        features = []
        for i, scale in enumerate(self.scales):
            if i:
                x = F.avg_pool2d(x, 3, stride=2, padding=1, count_include_pad=False)
            features.append(scale(x))
        return features
