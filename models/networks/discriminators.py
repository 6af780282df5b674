"""What judges drawn photographs and maps in training; none of it is needed to draw."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.nn.utils.parametrizations import spectral_norm

from models.layers import EqualConv2d, EqualDownConv2d
from models.networks.blocks import activate, upsample
from models.networks.efficientnet import LITE0, load_efficientnet


class ProjectedDiscriminator(nn.Module):
    """Scores of a photograph's features in a frozen EfficientNet-Lite0, a head a scale.

    Projected GAN (Sauer et al. 2021, arXiv 2111.01007): the features are mixed across channels and scales by
    fixed random convolutions, and only the heads learn.
    """

    def __init__(self, mixed: int = 96, hidden: int = 128):
        super().__init__()
        self.features = load_efficientnet(LITE0)
        stages = LITE0.stages()
        widths = [stages[i][-1] for i in (1, 2, 4, 5)]
        self.across_channels = nn.ModuleList(nn.Conv2d(width, mixed, 1) for width in widths)
        self.across_scales = nn.ModuleList(
            nn.Conv2d(mixed, mixed, 3, padding=1) for _ in widths[1:]
        )
        for layer in (*self.across_channels, *self.across_scales):
            assert isinstance(layer, nn.Conv2d) and layer.bias is not None
            nn.init.kaiming_normal_(layer.weight, a=1)
            nn.init.zeros_(layer.bias)
            layer.requires_grad_(False)
        self.heads = nn.ModuleList(
            nn.Sequential(
                spectral_norm(nn.Conv2d(mixed, hidden, 3, stride=2 if i < 2 else 1, padding=1)),
                nn.LeakyReLU(0.2, inplace=True),
                spectral_norm(nn.Conv2d(hidden, hidden, 3, padding=1)),
                nn.LeakyReLU(0.2, inplace=True),
                spectral_norm(nn.Conv2d(hidden, 1, 1)),
            )
            for i in range(len(widths))
        )

    def forward(self, photographs: Tensor) -> list[Tensor]:
        """[B, 3, H, W] in [0, 1] -> scores [B, positions] of each scale, higher is more real."""
        tapped = self.features.tapped(photographs)
        planes = [mix(x) for mix, x in zip(self.across_channels, tapped, strict=True)]
        mixed = [planes[-1]]
        for mix, plane in zip(reversed(self.across_scales), reversed(planes[:-1]), strict=True):
            mixed.append(plane + upsample(mix(mixed[-1])))
        scores = []
        for head, x in zip(self.heads, reversed(mixed), strict=True):
            power = x.detach().float().square().mean((1, 2, 3), keepdim=True)
            scores.append(head(x * (power + 1e-6).rsqrt().to(x.dtype)).float().flatten(1))
        return scores


class SegmentationDiscriminator(nn.Module):
    """A U-Net that says of each pixel which real class it is of, or that it is drawn (OASIS: Schoenfeld et
    al. 2021, arXiv 2012.04781).

    [B, 3, H, W] in [0, 1] -> logits [B, classes + 1, H, W], the last of "drawn"; H and W multiples of 8.
    """

    def __init__(self, classes: int, channels: tuple[int, ...] = (64, 96, 128)):
        super().__init__()

        def convolution(inputs: int, outputs: int) -> nn.Module:
            layer: nn.Module = spectral_norm(nn.Conv2d(inputs, outputs, 3, padding=1))
            return nn.Sequential(layer, nn.LeakyReLU(0.2, inplace=True))

        pairs = list(pairwise(channels))
        first = channels[0]
        self.stem = nn.Sequential(convolution(12, first), convolution(first, first))
        self.encoder = nn.ModuleList(
            nn.Sequential(convolution(a, b), convolution(b, b)) for a, b in pairs
        )
        self.decoder = nn.ModuleList(convolution(a + b, a) for a, b in reversed(pairs))
        self.head = nn.Conv2d(first, 4 * (classes + 1), 1)

    def forward(self, photographs: Tensor) -> Tensor:
        x = self.stem(F.pixel_unshuffle(photographs * 2 - 1, 2))
        skips = []
        for block in self.encoder:
            skips.append(x)
            x = block(F.avg_pool2d(x, 2))
        for block in self.decoder:
            x = block(torch.cat([upsample(x), skips.pop()], 1))
        return F.pixel_shuffle(self.head(x), 2).float()


class PatchDiscriminator(nn.Module):
    """Scores of overlapping parts of maps (Isola et al. 2017, arXiv 1611.07004), [B, inputs, H, W] to
    [B, H / 16, W / 16]; higher is more real."""

    def __init__(self, inputs: int, channels: tuple[int, ...] = (32, 64, 96, 96)):
        super().__init__()
        self.stem = EqualConv2d(4 * inputs, channels[0])
        self.down = nn.ModuleList(EqualDownConv2d(a, b) for a, b in pairwise(channels))
        self.last = EqualConv2d(channels[-1], channels[-1])
        self.score = EqualConv2d(channels[-1], 1, 1, gain=1.0)

    def forward(self, maps: Tensor) -> Tensor:
        x = activate(self.stem(F.pixel_unshuffle(maps, 2)))
        for convolution in self.down:
            x = activate(convolution(x))
        return self.score(activate(self.last(x))).float()[:, 0]


def hinge_loss(real: Sequence[Tensor], fake: Sequence[Tensor]) -> Tensor:
    """The discriminator's loss of scores a scale; a scalar, the mean over scales."""
    losses = [F.relu(1 - r).mean() + F.relu(1 + f).mean() for r, f in zip(real, fake, strict=True)]
    return torch.stack(losses).mean()


def class_loss(logits: Tensor, target: Tensor, weight: Tensor, fields: Tensor) -> Tensor:
    """Weighted cross entropy of soft targets [B, K, H, W] within fields [B, 1, H, W]; a scalar.

    weight: [K], how dear each class is.
    """
    entropy = -(F.log_softmax(logits, 1) * target * weight[:, None, None] * fields).sum()
    return entropy / fields.sum().clamp(min=1)
