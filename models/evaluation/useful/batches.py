"""What the segmenters see: crops of pairs, moved about, in each arm's own mixture."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from functools import cache

import torch
from torch import Tensor

from models.augment import Moves, change_light, move, random_affine, random_bend, random_light
from models.evaluation.pair_arrays import EvaluationData, PairArrays
from models.evaluation.settings import Arm
from models.segmenter import Light, light_of, standardise

BATCH = 8  # crops: more layouts than two whole pictures have
WHOLE = 256  # side of pictures of which each change makes one crop, see _changed

# Strong classical augmentation: any turn, bends, and light as of another exposure.
CLASSICAL = Moves(turn=45, zoom=0.15, shift=0.05, bend=0.02)
STRONGLY_AUGMENTED = (Arm.AUGMENTED, Arm.MIXED_AUGMENTED)

Draw = Callable[[float], Tensor]


def to_planes(pairs: PairArrays) -> Tensor:
    """Float [N, 5, S, S]: RGB within [-1, 1], vessels and field of view 0 or 1.

    Four times the memory of the pairs: for a batch, not for a set.
    """
    photos = torch.from_numpy(pairs.photos).permute(0, 3, 1, 2).float() / 127.5 - 1
    planes = [torch.from_numpy(plane)[:, None].float() for plane in (pairs.labels, pairs.fields)]
    return torch.cat([photos, *planes], dim=1)


def batches_of(arm: Arm, data: EvaluationData, side: int, random: torch.Generator) -> Draw:
    """A function that draws the batch for a share of the training: planes [B, 5, side, side], or of the whole
    pictures if they are smaller, with standardised photographs."""
    sources = {"real": data.train, "synthetic": data.synthetic}
    if data.rendered is not None:
        sources["rendered"] = data.rendered

    @cache
    def lights(source: str) -> Light:
        return _lights(sources[source])

    def take(progress: float) -> list[tuple[str, int]]:
        """The source of each pair of a batch, and its place there."""
        return [
            (source, place)
            for source, count in _mixture(arm, progress).items()
            for place in torch.randint(len(sources[source]), (count,), generator=random).tolist()
        ]

    def cut(source: str, i: int, window: tuple[slice, slice]) -> Tensor:
        means, deviations = lights(source)
        return _piece(sources[source], i, (means[i], deviations[i]), window)

    def whole() -> Iterator[Tensor]:
        chosen = take(0.0)
        return (to_planes(sources[source].span(i, i + 1)) for source, i in chosen)

    size = data.train.size
    side = min(side, size)
    changed = _changed(whole, max(1, size // WHOLE), random)

    def draw(progress: float) -> Tensor:
        if arm in STRONGLY_AUGMENTED:
            pictures = next(changed)
            crops = _random_crops(BATCH, side, size, random)
            pieces = [planes[:, *crop.window] for planes, crop in zip(pictures, crops, strict=True)]
        else:
            chosen = take(progress)
            crops = _random_crops(BATCH, side, size, random)
            pieces = [cut(*each, crop.window) for each, crop in zip(chosen, crops, strict=True)]
        return torch.stack([crop.turn(piece) for piece, crop in zip(pieces, crops, strict=True)])

    return draw


def _mixture(arm: Arm, progress: float) -> dict[str, int]:
    """How many pairs of a batch come from each source, at a share of the training."""
    match arm:
        case Arm.REAL | Arm.AUGMENTED:
            return {"real": BATCH}
        case Arm.SYNTHETIC | Arm.RENDERED:
            return {arm.value: BATCH}
        case Arm.FINE_TUNED:
            return {"synthetic" if progress < 0.5 else "real": BATCH}
        case Arm.MIXED | Arm.MIXED_AUGMENTED:
            return {"synthetic": BATCH // 2, "real": BATCH // 2}


@dataclass(frozen=True)
class Crop:
    """A window of a picture, turned by right angles and mirrored: exact, no resampling."""

    window: tuple[slice, slice]
    turns: int
    mirrored: bool

    def turn(self, piece: Tensor) -> Tensor:
        """What was cut out of a picture, [C, H, W], as the segmenter sees it."""
        turned = torch.rot90(piece, self.turns, (1, 2))
        return turned.flip(-1) if self.mirrored else turned


def _random_crops(count: int, side: int, size: int, random: torch.Generator) -> list[Crop]:
    corners = torch.randint(size - side + 1, (count, 2), generator=random).tolist()
    turns = torch.randint(4, (count,), generator=random).tolist()
    mirrors = (torch.rand(count, generator=random) < 0.5).tolist()
    return [
        Crop((slice(y, y + side), slice(x, x + side)), turn, mirror)
        for (y, x), turn, mirror in zip(corners, turns, mirrors, strict=True)
    ]


def _piece(pairs: PairArrays, i: int, light: Light, window: tuple[slice, slice]) -> Tensor:
    """A window of pair ``i``: planes [5, C, C], standardised as the whole photograph is."""
    at = (slice(i, i + 1), *window)
    cut = PairArrays((pairs.names[i],), pairs.photos[at], pairs.labels[at], pairs.fields[at])
    return _standardised(to_planes(cut), light)[0]


def _standardised(planes: Tensor, light: Light | None = None) -> Tensor:
    photos, vessels, fields = planes.split([3, 1, 1], dim=1)
    return torch.cat([standardise(photos, fields, light), vessels, fields], dim=1)


def _lights(pairs: PairArrays) -> Light:
    """The light of each photograph, taken one after the other: sets may be large."""
    found = []
    for i in range(len(pairs)):
        planes = to_planes(pairs.span(i, i + 1))
        found.append(light_of(planes[:, :3], planes[:, 4:]))
    means, deviations = zip(*found, strict=True)
    return torch.cat(means), torch.cat(deviations)


def _changed(
    whole: Callable[[], Iterable[Tensor]], uses: int, random: torch.Generator
) -> Iterator[list[Tensor]]:
    """Batches of ``whole`` pairs [1, 5, S, S] with strong classical augmentation of shape and light, each
    standardised, [5, S, S].

    To change pictures of 1024 px takes longer than to learn from a crop of them, so that larger
    ones than WHOLE serve ``uses`` times: each time another crop is made of them.
    """
    while True:
        pairs = whole()
        changes = zip(
            *(each.split(1) for each in random_light(BATCH, random)),
            random_affine(BATCH, CLASSICAL, random).split(1),
            random_bend(BATCH, CLASSICAL, random).split(1),
            strict=True,
        )
        # One by one: what is computed on the way, of eight pairs of 1024 px together, is a gigabyte.
        changed = [_change(planes, *by) for planes, by in zip(pairs, changes, strict=True)]
        for _ in range(uses):
            yield changed


def _change(planes: Tensor, gamma: Tensor, gain: Tensor, affine: Tensor, bend: Tensor) -> Tensor:
    """A pair [1, 5, S, S] with other light and shape, standardised, [5, S, S]."""
    photo, maps = planes.split([3, 2], dim=1)
    photo = change_light(photo, gamma, gain)
    # Moved together, photographs from 0 on: beyond the edge is 0 of all.
    moved = move(torch.cat([photo + 1, maps], dim=1), affine, 0.0, bend)
    return _standardised(torch.cat([moved[:, :3] - 1, moved[:, 3:]], dim=1))[0]
