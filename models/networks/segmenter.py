"""A U-Net (Ronneberger et al. 2015, arXiv 1505.04597) that segments fundus photographs.

It works at half the side: a pixel-unshuffle gives each 2 x 2 block to one position and a pixel-shuffle
takes it apart again (Shi et al. 2016, arXiv 1609.05158), which quarters the memory traffic that bounds it
on a CPU.
"""

from __future__ import annotations

from itertools import pairwise

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from models.networks.blocks import upsample


def _block(inputs: int, outputs: int) -> nn.Sequential:
    layers: list[nn.Module] = []
    for channels in (inputs, outputs):
        layers += [
            nn.Conv2d(channels, outputs, 3, padding=1, bias=False),
            nn.BatchNorm2d(outputs),
            nn.ReLU(inplace=True),
        ]
    return nn.Sequential(*layers)


class Segmenter(nn.Module):
    """Standardised photographs [B, 3, H, W] to logits [B, outputs, H, W].

    Args:
        outputs: classes, each present or not independently of the others.
        channels: feature maps at 1/2, 1/4, ... of the side; H and W must be multiples of
            ``2 ** len(channels)``.
    """

    def __init__(self, outputs: int, channels: tuple[int, ...] = (48, 80, 112, 144)):
        super().__init__()
        pairs = list(pairwise(channels))
        self.stem = _block(12, channels[0])
        self.encoder = nn.ModuleList(_block(a, b) for a, b in pairs)
        self.decoder = nn.ModuleList(_block(a + b, a) for a, b in reversed(pairs))
        self.head = nn.Conv2d(channels[0], 4 * outputs, 1)

    def forward(self, photographs: Tensor) -> Tensor:
        """Segment; see the class."""
        x = self.stem(F.pixel_unshuffle(photographs, 2))
        skips = []
        for block in self.encoder:
            skips.append(x)
            x = block(F.max_pool2d(x, 2))
        for block in self.decoder:
            x = block(torch.cat([upsample(x), skips.pop()], dim=1))
        return F.pixel_shuffle(self.head(x), 2)


def standardise(photographs: Tensor, fields: Tensor) -> Tensor:
    """Each channel to mean 0 and deviation 1 within the field of view, 0 outside.

    Args:
        photographs: [B, 3, H, W].
        fields: [B, 1, H, W], 1 within the field of view, else 0.
    """
    count = fields.sum((2, 3), keepdim=True).clamp(min=1)
    mean = (photographs * fields).sum((2, 3), keepdim=True) / count
    centred = (photographs - mean) * fields
    # The epsilon is under the root: a saturated channel has no deviation, and no finite gradient of it.
    return centred / (centred.square().sum((2, 3), keepdim=True) / count + 1e-5).sqrt()
