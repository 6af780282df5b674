"""The segmenter: a small U-Net (Ronneberger et al. 2015, arXiv 1505.04597)."""

from __future__ import annotations

from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor, nn

GROUPS = 8  # that the feature maps of a level are normalised in


@dataclass(frozen=True)
class SegmenterConfig:
    """Feature maps at each level; the side of the picture is halved from one to the next."""

    channels: tuple[int, ...] = (16, 32, 64, 96)


def _block(inputs: int, outputs: int) -> nn.Sequential:
    """Two convolutions. Normalised by group, not by batch: a segmenter that has learned from generated
    photographs is asked about real ones, whose statistics are others."""
    layers: list[nn.Module] = []
    for count in (inputs, outputs):
        layers += [nn.Conv2d(count, outputs, 3, padding=1, bias=False)]
        layers += [nn.GroupNorm(GROUPS, outputs), nn.ReLU(inplace=True)]
    return nn.Sequential(*layers)


class Segmenter(nn.Module):
    """Photographs [B, 3, H, W] to vessel logits [B, 1, H, W]; H and W multiples of 8."""

    def __init__(self, config: SegmenterConfig):
        super().__init__()
        first, *rest = config.channels
        self.first = _block(3, first)
        pairs = list(zip(config.channels, rest, strict=False))
        self.down = nn.ModuleList(_block(a, b) for a, b in pairs)
        self.up = nn.ModuleList(_block(a + b, a) for a, b in reversed(pairs))
        self.last = nn.Conv2d(first, 1, 1)

    def forward(self, photos: Tensor) -> Tensor:
        """Logits of each pixel being vessel."""
        return self.last(self.features(photos)[-1])

    def features(self, photos: Tensor) -> list[Tensor]:
        """What the way up makes of photographs, [B, C, H / n, W / n] each, the last at their own size."""
        levels = [self.first(photos)]
        for block in self.down:
            levels.append(block(F.max_pool2d(levels[-1], 2)))
        x = levels.pop()
        found = []
        for block in self.up:
            x = block(torch.cat([F.interpolate(x, scale_factor=2.0), levels.pop()], dim=1))
            found.append(x)
        return found
