"""Segmenters: a small U-Net (Ronneberger et al. 2015, arXiv 1505.04597), and how one is taught.

Evaluations train it on generated pairs. Packages hold one of real pairs, the tracer, which says what the
label of a drawn photograph is: a translator does not show every vessel of its map, nor each as wide as it
is there. As in DatasetGAN (arXiv 2104.06490), who labels has learned from the few labelled pictures there are.
A network of another shape, :class:`ScaleAttention`, tells in evaluations what pairs teach one that labels none.
"""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from dataclasses import dataclass

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from torch import Tensor, nn

GROUPS = 8  # that the feature maps of a level are normalised in
LEARNING_RATE = 2e-3  # of Adam, the largest
WARM_UP = 0.05  # share of the steps
AVERAGE_STEPS = 30.0  # half-life of the averaged weights
SIDE = 256  # pixels: up to here each is looked at by itself
CROP = SIDE // 2  # a segmenter of pictures of SIDE learns from parts of this side
PATCHES_AT_ONCE = 4 * SIDE**2  # of photographs: their feature maps take 1.5 kB a patch
DILATIONS = (1, 1, 2, 4, 8, 16)  # of the convolutions of ScaleAttention, which has one level:
DILATED_CHANNELS = (24,)

Light = tuple[Tensor, Tensor]  # mean and deviation of each channel, [B, 3, 1, 1] each


@dataclass(frozen=True)
class SegmenterConfig:
    """channels: feature maps at each level; the side of the picture is halved from one to the next. patch:
    side in pixels of the squares that the first level has one place for, whose pixels are channels."""

    channels: tuple[int, ...] = (16, 32, 64, 96)
    patch: int = 1

    def __post_init__(self) -> None:
        object.__setattr__(self, "channels", tuple(self.channels))
        if not self.channels or any(count <= 0 or count % GROUPS for count in self.channels):
            raise ValueError(f"channels must be multiples of {GROUPS}, one a level")
        if self.patch < 1:
            raise ValueError("patch must be at least 1")

    @classmethod
    def for_side(cls, side: int) -> SegmenterConfig:
        """For photographs of so many pixels a side: larger ones are looked at in as many patches as those of
        SIDE have pixels, so that as much of the eye is seen around each, and learning takes no longer."""
        return cls(patch=max(1, side // SIDE))

    @property
    def crop(self) -> int:
        """Pixels a side of the parts of photographs that such a segmenter learns from."""
        return CROP * self.patch


def _block(inputs: int, outputs: int) -> nn.Sequential:
    """Two convolutions. Normalised by group, not by batch: a segmenter that has learned from generated
    photographs is asked about real ones, whose statistics are others."""
    return nn.Sequential(*_normalised(inputs, outputs), *_normalised(outputs, outputs))


def _normalised(inputs: int, outputs: int, dilation: int = 1) -> nn.Sequential:
    """A convolution of 3 x 3, its output normalised, what is below 0 left out."""
    conv = nn.Conv2d(inputs, outputs, 3, padding=dilation, dilation=dilation, bias=False)
    return nn.Sequential(conv, nn.GroupNorm(GROUPS, outputs), nn.ReLU(inplace=True))


class VesselNetwork(nn.Module, ABC):
    """Photographs [B, 3, H, W] to vessel logits [B, 1, H, W]; H and W multiples of 8 patches.

    Patches become places and places patches by sub-pixel convolution (Shi et al. 2016, arXiv 1609.05158).
    """

    config: SegmenterConfig
    last: nn.Conv2d  # what features() gives last to the pixels of each patch

    @abstractmethod
    def features(self, photos: Tensor) -> list[Tensor]:
        """What is made of photographs on the way, [B, C, H / n, W / n] each, n of the last being the patch."""

    def forward(self, photos: Tensor) -> Tensor:
        """Logits of each pixel being vessel."""
        return self.to_pixels(self.features(photos)[-1])

    def to_pixels(self, features: Tensor) -> Tensor:
        """Logits of what :meth:`features` gives last."""
        return F.pixel_shuffle(self.last(features), self.config.patch)


def _last(inputs: int, patch: int) -> nn.Conv2d:
    # Patches look at their neighbours once more: their pixels are not to break at the edges.
    size = 1 if patch == 1 else 3
    return nn.Conv2d(inputs, patch**2, size, padding=size // 2)


class Segmenter(VesselNetwork):
    """The U-Net. Its features are those of the way up."""

    def __init__(self, config: SegmenterConfig):
        super().__init__()
        self.config = config
        first, *rest = config.channels
        self.first = _block(3 * config.patch**2, first)
        pairs = list(zip(config.channels, rest, strict=False))
        self.down = nn.ModuleList(_block(a, b) for a, b in pairs)
        self.up = nn.ModuleList(_block(a + b, a) for a, b in reversed(pairs))
        self.last = _last(first, config.patch)

    def features(self, photos: Tensor) -> list[Tensor]:
        levels = [self.first(F.pixel_unshuffle(photos, self.config.patch))]
        for block in self.down:
            levels.append(block(F.max_pool2d(levels[-1], 2)))
        x = levels.pop()
        found = []
        for block in self.up:
            x = block(torch.cat([F.interpolate(x, scale_factor=2.0), levels.pop()], dim=1))
            found.append(x)
        return found


class ScaleAttention(VesselNetwork):
    """The same dilated convolutions (Yu & Koltun 2016, arXiv 1511.07122) look at a photograph and at its
    half, and what they find is weighted place by place (attention to scale: Chen et al. 2016, arXiv
    1511.03339), in the spirit of the multi-scale attention that the seed paper's segmenter has.

    Nothing is pooled, so that ``config`` has one level, and its features are what is left after weighing.
    """

    def __init__(self, config: SegmenterConfig):
        super().__init__()
        self.config = config
        (width,) = config.channels
        self.first = _normalised(3 * config.patch**2, width)
        self.trunk = nn.ModuleList(_normalised(width, width, dilation) for dilation in DILATIONS)
        # Of all dilations together: the last one's alone come to an F1 of 0.62 in the 200 steps in which these
        # come to 0.73 (docs/reports).
        self.join = _normalised(width * (1 + len(DILATIONS)), width)
        self.weigh = nn.Conv2d(2 * width, 2, 3, padding=1)
        self.last = _last(width, config.patch)

    def features(self, photos: Tensor) -> list[Tensor]:
        fine = self._look(F.pixel_unshuffle(photos, self.config.patch))
        coarse = self._look(F.pixel_unshuffle(F.avg_pool2d(photos, 2), self.config.patch))
        coarse = F.interpolate(coarse, scale_factor=2.0, mode="bilinear")
        weights = self.weigh(torch.cat([fine, coarse], dim=1)).softmax(dim=1)
        return [fine * weights[:, :1] + coarse * weights[:, 1:]]

    def _look(self, places: Tensor) -> Tensor:
        found = [self.first(places)]
        for layer in self.trunk:
            found.append(layer(found[-1]))
        joined: Tensor = self.join(torch.cat(found, dim=1))
        return joined


def light_of(photos: Tensor, fields: Tensor) -> Light:
    """Mean and deviation of each channel within the field of view [B, 1, H, W]."""
    total = fields.sum(dim=(2, 3), keepdim=True).clamp(min=1)
    mean = (photos * fields).sum(dim=(2, 3), keepdim=True) / total
    spread = ((photos - mean).square() * fields).sum(dim=(2, 3), keepdim=True) / total
    return mean, spread.sqrt() + 1e-3


def standardise(photos: Tensor, fields: Tensor, light: Light | None = None) -> Tensor:
    """Each channel to mean 0 and deviation 1 within the field of view [B, 1, H, W], 0 outside.

    ``light``: of the whole photographs, where these are crops. Exposure and colour balance differ
    between cameras, and between photographs of one camera.
    """
    mean, deviation = light or light_of(photos, fields)
    return (photos - mean) / deviation * fields


def probabilities(
    segmenter: VesselNetwork, photos: NDArray[np.uint8], fields: NDArray[np.bool_]
) -> NDArray[np.float32]:
    """The probability of vessel of each pixel, [N, S, S], of RGB photographs [N, S, S, 3] and their fields
    of view [N, S, S].

    With as many photographs each time, it depends on nothing else; on the number of threads neither, if the
    segmenter is not in channels-last order, where PyTorch's group norm adds up as many parts as there are.
    """
    where, shares = segmenter.last.weight.device, []
    patch = segmenter.config.patch
    at_once = max(1, min(4, PATCHES_AT_ONCE * patch**2 // photos.shape[1] ** 2))
    assert segmenter.last.bias is not None  # the layer has one
    with torch.inference_mode():
        for start in range(0, len(photos), at_once):
            part = slice(start, start + at_once)
            planes = (
                torch.from_numpy(photos[part]).to(where).permute(0, 3, 1, 2).float().contiguous()
            )
            inside = torch.from_numpy(fields[part]).to(where)[:, None].float()
            shown = standardise(planes / 127.5 - 1, inside)
            features = segmenter.features(shown)[-1]
            if patch == 1:
                # Written out, as in layers.EqualToMap: oneDNN's of 1 x 1 rounds otherwise with other threads.
                logits = (features * segmenter.last.weight).sum(dim=1) + segmenter.last.bias
            else:
                logits = segmenter.to_pixels(features)[:, 0]
            shares.append(logits.sigmoid())
    return torch.cat(shares).cpu().numpy()


def learning_rate(progress: float) -> float:
    """A short warm-up, then a cosine to nothing; ``progress`` within [0, 1]."""
    share = min(1.0, progress / WARM_UP + 0.05) * (1 + math.cos(math.pi * progress)) / 2
    return LEARNING_RATE * share


def segmentation_loss(logits: Tensor, vessels: Tensor, fields: Tensor) -> Tensor:
    """Cross entropy and soft Dice of the pixels in the field of view; all are [B, 1, H, W]."""
    entropy = F.binary_cross_entropy_with_logits(logits, vessels, reduction="none")
    shares = logits.sigmoid() * fields
    overlap = 2 * (shares * vessels).sum() + 1
    dice = 1 - overlap / (shares.sum() + (vessels * fields).sum() + 1)
    return (entropy * fields).sum() / fields.sum() + dice
