"""What the segmenters see: crops of pairs, moved about, in each arm's own mixture."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor

from models.augment import Moves, change_light, move, random_affine, random_bend, random_light
from models.evaluation.pair_arrays import EvaluationData, PairArrays
from models.evaluation.settings import Arm

BATCH = 8
CROP = (
    128  # pixels: with eight of them, more layouts in a batch than two whole pictures of 256 have
)

# Strong classical augmentation: any turn, bends, and light as of another exposure.
CLASSICAL = Moves(turn=45, zoom=0.15, shift=0.05, bend=0.02)

Draw = Callable[[float], Tensor]


def to_planes(pairs: PairArrays) -> Tensor:
    """Float [N, 5, S, S]: RGB within [-1, 1], vessels and field of view 0 or 1."""
    photos = torch.from_numpy(pairs.photos).permute(0, 3, 1, 2).float() / 127.5 - 1
    planes = [torch.from_numpy(plane)[:, None].float() for plane in (pairs.labels, pairs.fields)]
    return torch.cat([photos, *planes], dim=1)


def standardise(photos: Tensor, fields: Tensor) -> Tensor:
    """Each channel to mean 0 and deviation 1 within the field of view [B, 1, H, W], 0 outside.

    Exposure and colour balance differ between cameras, and between photographs of one camera.
    """
    total = fields.sum(dim=(2, 3), keepdim=True).clamp(min=1)
    mean = (photos * fields).sum(dim=(2, 3), keepdim=True) / total
    spread = ((photos - mean).square() * fields).sum(dim=(2, 3), keepdim=True) / total
    return (photos - mean) / (spread.sqrt() + 1e-3) * fields


def batches_of(arm: Arm, data: EvaluationData, random: torch.Generator) -> Draw:
    """A function that draws the batch for a share of the training: planes [B, 5, C, C], with
    standardised photographs."""
    sources = {
        name: to_planes(pairs)
        for name, pairs in (
            ("real", data.train),
            ("synthetic", data.synthetic),
            ("rendered", data.rendered),
        )
        if pairs is not None
    }

    def take(source: str, count: int) -> Tensor:
        planes = sources[source]
        return planes[torch.randint(len(planes), (count,), generator=random)]

    def draw(progress: float) -> Tensor:
        match arm:
            case Arm.MIXED:
                planes = torch.cat([take("synthetic", BATCH // 2), take("real", BATCH // 2)])
            case Arm.FINE_TUNED:
                planes = take("synthetic" if progress < 0.5 else "real", BATCH)
            case Arm.SYNTHETIC | Arm.RENDERED:
                planes = take(arm.value, BATCH)
            case Arm.REAL | Arm.AUGMENTED:
                planes = take("real", BATCH)
        if arm is Arm.AUGMENTED:
            planes = _change(planes, random)
        photos, vessels, fields = planes.split([3, 1, 1], dim=1)
        planes = torch.cat([standardise(photos, fields), vessels, fields], dim=1)
        return _crop_and_turn(planes, random)

    return draw


def _change(planes: Tensor, random: torch.Generator) -> Tensor:
    """Strong classical augmentation of shape and light."""
    photos, maps = planes.split([3, 2], dim=1)
    photos = change_light(photos, *random_light(len(planes), random))
    affine = random_affine(len(planes), CLASSICAL, random)
    bend = random_bend(len(planes), CLASSICAL, random)
    return torch.cat([move(photos, affine, -1.0, bend), move(maps, affine, 0.0, bend)], dim=1)


def _crop_and_turn(planes: Tensor, random: torch.Generator) -> Tensor:
    """A random crop of each, mirrored and turned by right angles: exact, no resampling."""
    side = min(CROP, planes.shape[-1])
    corners = torch.randint(planes.shape[-1] - side + 1, (len(planes), 2), generator=random)
    turns = torch.randint(4, (len(planes),), generator=random)
    mirrors = torch.rand(len(planes), generator=random) < 0.5
    crops = []
    for plane, (y, x), turn, mirror in zip(planes, corners, turns, mirrors, strict=True):
        crop = torch.rot90(plane[:, y : y + side, x : x + side], int(turn), (1, 2))
        crops.append(crop.flip(-1) if mirror else crop)
    return torch.stack(crops)
