"""Augmentation of photographs and their maps: geometry, illumination and colour, drawn on the CPU."""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor

from models.data.photographs import PhotographSet


def uniform(generator: torch.Generator, low: float, high: float, *shape: int) -> Tensor:
    """Uniform numbers within [low, high]."""
    return torch.rand(*shape, generator=generator) * (high - low) + low


@dataclass(frozen=True)
class Geometry:
    """Ranges of random similarity transforms.

    rotation: degrees, within plus and minus. scale: smallest and largest, source pixels a drawn pixel
    relative to the whole frame. shift: of the centre, as a fraction of half the side, within plus and minus.
    upside_down: whether some are mirrored top to bottom as well.
    """

    rotation: float
    scale: tuple[float, float]
    shift: float
    upside_down: bool = False


def random_similarity(
    count: int, geometry: Geometry, generator: torch.Generator, mirror: bool = True
) -> Tensor:
    """Draw [count, 2, 3] matrices for ``torch.nn.functional.affine_grid``; half mirror, unless told not to."""
    angle = uniform(generator, -1, 1, count) * math.radians(geometry.rotation)
    low, high = (math.log(value) for value in geometry.scale)
    scale = uniform(generator, low, high, count).exp()
    flip = torch.where(torch.rand(count, generator=generator) < 0.5, -1.0, 1.0)
    flip = flip if mirror else torch.ones(count)
    upside = torch.where(torch.rand(count, generator=generator) < 0.3, -1.0, 1.0)
    upside = upside if geometry.upside_down else torch.ones(count)
    shift = uniform(generator, -1, 1, count, 2) * geometry.shift
    cos, sin = angle.cos() * scale, angle.sin() * scale
    rows = [
        torch.stack([flip * cos, -sin, shift[:, 0]], 1),
        torch.stack([upside * flip * sin, upside * cos, shift[:, 1]], 1),
    ]
    return torch.stack(rows, 1)


def random_views(
    source: PhotographSet, places: Tensor, side: int, geometry: Geometry, generator: torch.Generator
) -> tuple[Tensor, Tensor, Tensor]:
    """Transformed views of the photographs at ``places``.

    Returns:
        photographs [B, 3, side, side], maps [B, 4, side, side], fields [B, 1, side, side], in [0, 1];
        beyond the frame and the field of view all are 0.
    """
    matrices = random_similarity(len(places), geometry, generator)
    views = []
    for place, matrix in zip(places.split(1), matrices.split(1), strict=True):
        stack = source.stack(place)
        reduction = float(matrix[0, :, 0].norm()) * source.size / side
        if reduction > 1.5:  # sampling alone would skip pixels
            stack = F.avg_pool2d(stack, round(reduction))
        grid = F.affine_grid(matrix, [1, 1, side, side], align_corners=False)
        views.append(F.grid_sample(stack, grid, align_corners=False))
    photographs, maps, fields = torch.cat(views).split([3, source.maps.shape[1], 1], dim=1)
    fields = (fields > 0.5).float()
    return photographs * fields, maps * fields, fields


def photometric(photographs: Tensor, generator: torch.Generator) -> Tensor:
    """Change gamma, illumination, gains, saturation, contrast, sharpness and noise; differentiable.

    [B, 3, H, W] in [0, 1] -> the same. Strong: what a segmenter has seen so, it finds with other cameras.
    """
    count = len(photographs)

    def between(low: float, high: float, channels: int = 1) -> Tensor:
        return uniform(generator, low, high, count, channels, 1, 1)

    x = photographs.clamp(1e-3, 1) ** between(-0.5, 0.5, 3).exp()
    waves = torch.randn(count, 1, 4, 4, generator=generator)
    waves = F.interpolate(waves, size=x.shape[2:], mode="bicubic", align_corners=False)
    x = x * (0.2 * waves).exp() * between(0.6, 1.4, 3)
    grey = x.mean(1, keepdim=True)
    x = grey + (x - grey) * between(0.3, 1.5)
    mean = x.mean((1, 2, 3), keepdim=True)
    x = mean + (x - mean) * between(0.6, 1.5)
    blurred = F.avg_pool2d(F.pad(x, (1, 1, 1, 1), mode="reflect"), 3, stride=1)
    # A quarter blurred, a sixth sharpened, the others as they are.
    choice = torch.rand(count, 1, 1, 1, generator=generator)
    amount = torch.where(choice < 0.25, 1.0, torch.where(choice < 0.4, -1.0, 0.0))
    x = x + (blurred - x) * amount
    noisy = torch.rand(count, 1, 1, 1, generator=generator)
    deviation = torch.where(noisy < 0.5, 0.0, torch.where(noisy < 0.75, 0.01, 0.03))
    return (x + torch.randn(x.shape, generator=generator) * deviation).clamp(0, 1)
