"""Augmentation: affine moves of maps and photographs, and light changes of photographs.

Two uses that must not be mixed up. *Data* augmentation changes what counts as real, so it stays
within anatomy: mirror, small turns. *Discriminator* augmentation (ADA, Karras et al. 2020, arXiv
2006.06676) is applied to real and generated maps alike with a probability below one, so that its
moves never show in what the generator draws; it may be as wild as it likes.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor


@dataclass(frozen=True)
class Moves:
    """Ranges of a random move."""

    turn: float  # degrees, uniform within plus and minus
    zoom: float  # standard deviation of log2 of the scale
    shift: float  # share of the side, uniform within plus and minus
    mirror: bool = True
    bend: float = 0.0  # smooth warp: standard deviation of the displacement, share of the side


# Cameras are held a little askew, and no two trees curve alike: bending makes a cloud of plausible
# trees of each real one. No mirror: reals are turned to one eye, and the sampler mirrors.
ANATOMICAL = Moves(turn=10, zoom=0.06, shift=0.03, mirror=False, bend=0.02)
# Stage two meets maps of any source: it should not care how the camera was held, nor know a map again.
PHOTOGRAPHIC = Moves(turn=25, zoom=0.1, shift=0.04, bend=0.008)
# What the stage-one discriminator is shown (ADA's geometric moves without anisotropy).
DISCRIMINATOR = Moves(turn=180, zoom=0.15, shift=0.125)


def random_affine(count: int, moves: Moves, generator: torch.Generator) -> Tensor:
    """Draw [count, 2, 3] matrices for ``torch.nn.functional.affine_grid``, drawn on the CPU."""

    def uniform() -> Tensor:
        return torch.rand(count, generator=generator) * 2 - 1

    angle = uniform() * math.radians(moves.turn)
    scale = torch.exp2(torch.randn(count, generator=generator) * moves.zoom)
    flip = torch.where(uniform() < 0, -1.0, 1.0) if moves.mirror else torch.ones(count)
    # A shift of the whole side is 2 in affine_grid's coordinates.
    across, down = uniform() * 2 * moves.shift, uniform() * 2 * moves.shift
    cos, sin = angle.cos() * scale, angle.sin() * scale
    return torch.stack(
        [torch.stack([cos * flip, -sin, across], 1), torch.stack([sin * flip, cos, down], 1)], 1
    )


def random_bend(count: int, moves: Moves, generator: torch.Generator) -> Tensor:
    """Draw [count, 2, 5, 5] displacements of a coarse grid, in ``affine_grid``'s coordinates."""
    return torch.randn(count, 2, 5, 5, generator=generator) * (2 * moves.bend)


def move(pictures: Tensor, matrices: Tensor, outside: float, bend: Tensor | None = None) -> Tensor:
    """Apply affine moves, then bends, to [B, C, H, W] pictures.

    What comes from beyond the edge is ``outside``.
    """
    grid = F.affine_grid(matrices.to(pictures), list(pictures.shape), align_corners=False)
    if bend is not None:
        size = list(pictures.shape[-2:])
        smooth = F.interpolate(bend.to(pictures), size=size, mode="bicubic", align_corners=True)
        grid = grid + smooth.permute(0, 2, 3, 1)
    # grid_sample pads with zero: shift the values so that zero means outside.
    moved = F.grid_sample(pictures - outside, grid, padding_mode="zeros", align_corners=False)
    return moved + outside


def mirrors_to_one_eye(maps: Tensor) -> Tensor:
    """Which of the maps [N, 1, H, W] to mirror so that they agree best with the others; bool [N].

    Left and right eyes are mirror images. Shown both, a generator has to learn two anatomies from
    half of the maps each; names do not always tell which eye it is, the maps themselves nearly do.
    """
    coarse = F.avg_pool2d(maps.float(), max(1, maps.shape[-1] // 32))
    coarse = F.avg_pool2d(coarse, 3, stride=1, padding=1)
    mirrored = torch.zeros(len(maps), dtype=torch.bool)
    for _ in range(20):  # settles within a few rounds
        before = mirrored.clone()
        for i, one in enumerate(coarse):
            others = (coarse.sum(0) - one) / max(1, len(maps) - 1)
            if (one.flip(-1) - others).square().sum() < (one - others).square().sum():
                coarse[i] = one.flip(-1)
                mirrored[i] = ~mirrored[i]
        if torch.equal(before, mirrored):
            break
    return mirrored


def random_affine_for_some(
    count: int, moves: Moves, probability: float, generator: torch.Generator
) -> Tensor:
    """Draw [count, 2, 3] matrices as :func:`random_affine`, each with the given probability.

    The others leave a map where it is.
    """
    matrices = random_affine(count, moves, generator)
    chosen = torch.rand(count, generator=generator) < probability
    return torch.where(chosen[:, None, None], matrices, torch.eye(2, 3).expand_as(matrices))


def random_light(count: int, generator: torch.Generator) -> tuple[Tensor, Tensor]:
    """Draw gamma [count, 1, 1, 1] and gain [count, 3, 1, 1] of light changes, as base 2 logarithms."""

    def normal(deviation: float, channels: int = 1) -> Tensor:
        return torch.randn(count, channels, 1, 1, generator=generator) * deviation

    return normal(0.15), normal(0.08) + normal(0.05, 3)


def change_light(photos: Tensor, gamma: Tensor, gain: Tensor) -> Tensor:
    """Vary exposure, colour balance and contrast a little; [B, 3, H, W] in [-1, 1] -> the same.

    Twenty photographs are twenty points of the style space; this makes clouds of them.
    """
    light = (photos + 1) / 2
    light = light.clamp(1e-4, 1).pow(torch.exp2(gamma.to(photos)))
    return (light * torch.exp2(gain.to(photos))).clamp(0, 1) * 2 - 1


def random_parts(pictures: Tensor, count: int, side: int, generator: torch.Generator) -> Tensor:
    """Square parts of pictures [N, C, H, W], mirrored and turned by right angles: exact, no resampling.

    [count, C, side, side], or of the whole height where that is less.
    """
    side = min(side, pictures.shape[-1])
    chosen = torch.randint(len(pictures), (count,), generator=generator)
    corners = torch.randint(pictures.shape[-1] - side + 1, (count, 2), generator=generator)
    turns = torch.randint(8, (count,), generator=generator)
    parts = []
    for i, y, x, turn in torch.cat([chosen[:, None], corners, turns[:, None]], dim=1).tolist():
        part = torch.rot90(pictures[i, :, y : y + side, x : x + side], turn, (1, 2))
        parts.append(part.flip(-1) if turn >= 4 else part)
    return torch.stack(parts)


def soften(pictures: Tensor, share: Tensor) -> Tensor:
    """Pictures [B, C, H, W] made less sharp: the ``share`` [B, 1, 1, 1] of each pixel becomes the mean
    of 3 x 3."""
    around = F.avg_pool2d(pictures, 3, stride=1, padding=1, count_include_pad=False)
    return pictures.lerp(around, share)


def enlarging_flaws(maps: Tensor, generator: torch.Generator) -> Tensor:
    """Soft maps [B, 1, H, W] as a generator draws them: some less sharp than real ones, grainy, with
    holes of two pixels. Who learns to enlarge from these makes good what can be made good."""
    count, _, h, w = maps.shape

    def uniform(*shape: int) -> Tensor:
        return torch.rand(count, 1, *shape, generator=generator).to(maps.device)

    grain = torch.randn(maps.shape, generator=generator).to(maps)
    flawed = soften(maps, 0.6 * uniform(1, 1)) + 0.15 * uniform(1, 1) * grain
    holes = F.interpolate((uniform(h // 2, w // 2) < 0.005).float(), size=(h, w))
    return torch.where(holes > 0, -1.0, flawed)


@dataclass
class AdaptiveStrength:
    """Steers the discriminator's augmentation probability (arXiv 2006.06676, 3.2).

    The signal is the mean sign of the scores of real maps: near 1, the discriminator knows the
    twenty by heart and needs more; the target is 0.6.
    """

    probability: float = 0.5
    signal: float = 0.0
    target: float = 0.6
    images_to_one: float = 10_000  # images over which the probability could move by one
    least: float = 0.4  # twenty maps are never enough to do without
    most: float = 0.85  # above this ADA's moves begin to leak into the drawings

    def update(self, real_scores: Tensor) -> None:
        """Take the scores of one batch of real maps into account."""
        self.signal += 0.05 * (float(real_scores.detach().sign().mean()) - self.signal)
        step = len(real_scores) / self.images_to_one
        step = step if self.signal > self.target else -step
        self.probability = min(max(self.probability + step, self.least), self.most)
