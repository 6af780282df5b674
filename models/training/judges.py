"""What judges drawn photographs in training.

A projected discriminator says whether a photograph looks real, a segmentation discriminator whether each
pixel shows what the map has there, and the frozen teacher whether it sees the same under strong changes of
colour as in the real photograph of the same map (consistency).
"""

from __future__ import annotations

import copy
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from models.data.augmentation import photometric, uniform
from models.data.photographs import CHANNELS, DISC
from models.devices import Device
from models.networks.blocks import fold_batch_norm
from models.networks.discriminators import (
    ProjectedDiscriminator,
    SegmentationDiscriminator,
    class_loss,
    hinge_loss,
)
from models.networks.segmenter import Segmenter, standardise

# How dear a pixel is that shows vessels, disc, dark or bright lesions, background, and one that is drawn.
CLASS_WEIGHTS = (2.5, 1.0, 2.5, 2.5, 0.6, 1.0)


class PhotographJudges:
    """A projected discriminator, a segmentation discriminator and the frozen teacher.

    Photographs are [B, 3, S, S], maps [B, 4, S, S] and fields of view [B, 1, S, S], all in [0, 1]. ``random``
    is the trainer's generator.
    """

    def __init__(self, teacher: Segmenter, device: Device, random: torch.Generator):
        self.device, self.random = device, random
        self.realism = device.place(ProjectedDiscriminator())
        self.segmentation = device.place(SegmentationDiscriminator(len(CHANNELS) + 1))
        self.teacher = copy.deepcopy(teacher).eval().requires_grad_(False)
        fold_batch_norm(self.teacher)
        self.teacher = device.place(self.teacher)
        self.class_weight = torch.tensor(CLASS_WEIGHTS, device=device.name)
        self.networks: dict[str, nn.Module] = {
            "realism": self.realism.heads,
            "projection": nn.ModuleList([self.realism.across_channels, self.realism.across_scales]),
            "segmentation": self.segmentation,
        }

    def parameters(self) -> list[nn.Parameter]:
        """Those that learn."""
        return [*self.realism.heads.parameters(), *self.segmentation.parameters()]

    def generator_losses(
        self, drawn: Tensor, photographs: Tensor, maps: Tensor, fields: Tensor, own: int
    ) -> dict[str, Tensor]:
        """What the generator is to lower; the first ``own`` photographs are drawn in the style of the real
        ones, and are compared with them."""
        self._learn(False)
        corner = self._corner(drawn)
        with self.device.mixed_precision():
            logits = self.segmentation(_part(drawn, corner))
            scores = self.realism(self._differentiable_augmentation(drawn))
        target = _part(classes(maps), corner)
        mine, real = drawn[:own], photographs[:own]
        return {
            "segmentation": class_loss(logits, target, self.class_weight, _part(fields, corner)),
            "realism": -torch.stack([score.mean() for score in scores]).mean(),
            "consistency": self._consistency(drawn, photographs, fields),
            "l1": (mine - real).abs().mean(),
            "low_frequency": (F.avg_pool2d(mine, 8) - F.avg_pool2d(real, 8)).abs().mean(),
        }

    def discriminator_losses(
        self, drawn: Tensor, photographs: Tensor, maps: Tensor, fields: Tensor
    ) -> dict[str, Tensor]:
        """What the discriminators are to lower."""
        self._learn(True)
        corner = self._corner(drawn)
        both = torch.cat([photographs, drawn.detach()])
        with self.device.mixed_precision():
            of_real, of_drawn = self.segmentation(_part(both, corner)).chunk(2)
            scores = self.realism(self._differentiable_augmentation(both))
        target, fields = _part(classes(maps), corner), _part(fields, corner)
        is_drawn = torch.zeros_like(target)
        is_drawn[:, -1] = 1
        segmentation = class_loss(of_real, target, self.class_weight, fields)
        segmentation = segmentation + class_loss(of_drawn, is_drawn, self.class_weight, fields)
        count = len(photographs)
        realism = hinge_loss([s[:count] for s in scores], [s[count:] for s in scores])
        return {"segmentation discriminator": segmentation, "realism discriminator": realism}

    def _corner(self, pictures: Tensor) -> list[int]:
        """Where the part begins that the segmentation discriminator is shown."""
        side = pictures.shape[-1] // 2
        return torch.randint(side, (2,), generator=self.random).tolist()

    def _learn(self, learn: bool) -> None:
        self.realism.heads.requires_grad_(learn)
        self.segmentation.requires_grad_(learn)

    def _consistency(self, drawn: Tensor, photographs: Tensor, fields: Tensor) -> Tensor:
        """Cross entropy of what the teacher sees in drawn photographs to what it sees in the real ones."""
        changed = photometric(drawn, self.random) * fields
        with self.device.mixed_precision():
            with torch.no_grad():
                real = self.teacher(standardise(photographs, fields)).float().sigmoid()
            found = self.teacher(standardise(changed, fields)).float()
        entropy = F.binary_cross_entropy_with_logits(found, real, reduction="none")
        return (entropy * (1 + real) * fields).sum() / fields.sum()

    def _differentiable_augmentation(self, photographs: Tensor) -> Tensor:
        """Colour, shift and cut-out of real and drawn photographs alike (DiffAugment: Zhao et al. 2020, arXiv
        2006.10738)."""
        count, side = len(photographs), photographs.shape[-1]

        def between(low: float, high: float) -> Tensor:
            return uniform(self.random, low, high, count, 1, 1, 1).to(photographs)

        x = photographs + between(-0.2, 0.2)
        grey = x.mean(1, keepdim=True)
        x = grey + (x - grey) * between(0.4, 1.6)
        mean = x.mean((1, 2, 3), keepdim=True)
        x = mean + (x - mean) * between(0.6, 1.4)
        matrices = torch.eye(2, 3).repeat(count, 1, 1)
        matrices[:, :, 2] = uniform(self.random, -0.2, 0.2, count, 2)
        grid = F.affine_grid(matrices.to(x), list(x.shape), align_corners=False)
        x = F.grid_sample(x, grid, align_corners=False)
        corners = uniform(self.random, -0.15, 0.85, count, 2, 1).to(x)
        places = torch.arange(side, device=x.device) / side
        within = (places >= corners) & (places < corners + 0.28)
        cut = within[:, 0, :, None] & within[:, 1, None, :]
        return x * (~cut[:, None]).to(x.dtype)


def classes(maps: Tensor) -> Tensor:
    """Soft classes of each pixel, [B, 6, H, W]: the map's channels, background, and (0) drawn.

    A vessel on the disc counts as vessel.
    """
    maps = maps.clone()
    maps[:, DISC] = maps[:, DISC] * (1 - maps[:, :DISC].sum(1))
    total = maps.sum(1, keepdim=True)
    maps = maps / total.clamp(min=1)
    background = 1 - total.clamp(max=1)
    return torch.cat([maps, background, torch.zeros_like(background)], 1)


def _part(planes: Tensor, corner: list[int]) -> Tensor:
    """A square of half the side."""
    y, x = corner
    side = planes.shape[-1] // 2
    return planes[..., y : y + side, x : x + side]


def weighted_sum(losses: dict[str, Tensor], settings: Any) -> Tensor:
    """The sum of losses, each times the setting ``NAME_weight``."""
    return torch.stack(
        [getattr(settings, f"{n}_weight") * loss for n, loss in losses.items()]
    ).sum()
