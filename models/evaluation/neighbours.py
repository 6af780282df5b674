"""The nearest neighbour of a map or photograph in a set, whatever it was turned, mirrored or shifted.

First all pairs are compared at 64 px: each picture is resampled in polar coordinates about the centre of
its field of view, where a turn is a shift along the angle and a mirror image reverses it, so that
one Fourier transform tries 180 turns at once; the other set's centres are moved over a small grid for
shifts. Then the best few are laid on each other at up to 256 px, and compared closely.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from scipy import ndimage
from torch import Tensor

from models.evaluation.pair_arrays import PairArrays
from models.metrics import overlap
from models.translator import VESSEL_FROM

COARSE = 64
CLOSE_UP = 256  # at most: overlap tolerates two pixels, which should mean the same of every model
RADII, ANGLES = 32, 180
# Pixels of the coarse pictures by which centres are moved, each way.
SHIFTS = (-4, -2, 0, 2, 4)
BLUR = 1.5  # of coarse pixels: wide enough for what lies between two shifts
BAND = (0.5, 3.0)  # of coarse pixels: what is kept of a photograph, between noise and lighting
CHUNK = 32
TURNS = np.deg2rad((-1.0, 0.0, 1.0))  # tried around the coarse one
REACH = 0.06  # of the side: the largest shift that is looked for at close range


@dataclass(frozen=True)
class Views:
    """Pictures prepared for comparison.

    planes: what is compared, float32 [N, F, F], 0 outside the field of view. centres: of the field,
    (x, y) as shares of the side, [N, 2]. labels: vessels at the same size, bool [N, F, F]; None of
    photographs, which are compared by correlation.
    """

    planes: Tensor
    centres: Tensor
    labels: NDArray[np.bool_] | None

    def __len__(self) -> int:
        return len(self.planes)


@dataclass(frozen=True)
class Moves:
    """Similarities of M pictures with N, and the moves of the second that they hold for; [M, N] each.

    similarity: correlation of the coarse pictures, -1 to 1. angle: turn in radians. mirrored: whether
    it is a mirror image. shift: index into the grid of shifts.
    """

    similarity: NDArray[np.float32]
    angle: NDArray[np.float32]
    mirrored: NDArray[np.bool_]
    shift: NDArray[np.intp]


@dataclass(frozen=True)
class Neighbour:
    """The nearest picture: its index, how near it is (F1 of maps, correlation of photographs), and how it
    was moved to lie on the other: ``warp`` takes a picture [H, W, C] along."""

    index: int
    score: float
    matrix: NDArray[np.float64]
    offset: NDArray[np.float64]
    here: NDArray[np.float64]

    def warp(self, picture: NDArray[np.uint8]) -> NDArray[np.uint8]:
        """The neighbour, uint8 [H, W, C], as it lies on the other picture."""
        planes = torch.from_numpy(picture).permute(2, 0, 1).float()
        moved = _warp(planes, self.matrix, self.offset, self.here)
        return moved.round().clamp(0, 255).byte().permute(1, 2, 0).numpy()


def map_views(pairs: PairArrays) -> Views:
    """The vessel maps, blurred a little."""
    size = min(CLOSE_UP, pairs.size)
    shares = np.stack([_pooled(label, size) for label in pairs.labels])
    labels = shares > VESSEL_FROM
    sigma = BLUR * size / COARSE / 2
    planes = np.stack([ndimage.gaussian_filter(share, sigma) for share in shares])
    return Views(torch.from_numpy(planes), _centres(pairs.fields), labels)


def photo_views(pairs: PairArrays) -> Views:
    """The green channel of the photographs without fine detail and lighting."""
    size = min(CLOSE_UP, pairs.size)
    fine, wide = (sigma * size / COARSE for sigma in BAND)

    def smooth(level: NDArray[np.float32], share: NDArray[np.float32], sigma: float) -> NDArray:
        weight = ndimage.gaussian_filter(share, sigma)
        return ndimage.gaussian_filter(level, sigma) / np.maximum(weight, 1e-3)

    planes = []
    for photo, field in zip(pairs.photos, pairs.fields, strict=True):
        level, share = _pooled(photo[..., 1] * field, size), _pooled(field, size)
        planes.append((smooth(level, share, fine) - smooth(level, share, wide)) * (share > 0.5))
    return Views(torch.from_numpy(np.stack(planes)).float(), _centres(pairs.fields), None)


def compare(
    first: Views, second: Views, report: Callable[[float], None] = lambda share: None
) -> Moves:
    """Every picture of ``first`` with every one of ``second``, over all turns, mirrors and shifts."""
    grid = [(x, y) for y in SHIFTS for x in SHIFTS]
    own = _spectra(first, [(0, 0)])[:, 0]
    rows: list[list[Tensor]] = [[], [], []]
    for start in range(0, len(second), CHUNK):
        part = Views(
            second.planes[start : start + CHUNK], second.centres[start : start + CHUNK], None
        )
        other = _spectra(part, grid)
        found = [_best(own[i : i + CHUNK], other) for i in range(0, len(own), CHUNK)]
        for row, values in zip(rows, zip(*found, strict=True), strict=True):
            row.append(torch.cat(values))
        report(min(1.0, (start + CHUNK) / len(second)))
    similarity, place, shift = (torch.cat(row, dim=1).numpy() for row in rows)
    angle = (place % ANGLES) * np.float32(2 * np.pi / ANGLES)
    return Moves(similarity, angle, place >= ANGLES, shift)


def nearest(first: Views, i: int, second: Views, moves: Moves, candidates: int = 2) -> Neighbour:
    """The nearest of ``second`` to picture ``i`` of ``first``, among the coarsely nearest ones."""
    best = np.argsort(-moves.similarity[i])[:candidates]
    found = [_lay_over(first, i, second, int(j), moves) for j in best]
    return max(found, key=lambda neighbour: neighbour.score)


def _lay_over(first: Views, i: int, second: Views, j: int, moves: Moves) -> Neighbour:
    """Picture ``j`` laid over picture ``i`` as well as it can be."""
    size = first.planes.shape[-1]
    step = np.array(
        [SHIFTS[moves.shift[i, j] % len(SHIFTS)], SHIFTS[moves.shift[i, j] // len(SHIFTS)]]
    )
    here = first.centres[i].numpy().astype(float)
    offset = second.centres[j].numpy() + step / COARSE
    target = torch.fft.rfft2(first.planes[i])
    norm = float(first.planes[i].norm())
    reach = max(1, round(REACH * size))
    best = (-np.inf, np.eye(2), offset)
    for turn in TURNS:
        matrix = _matrix(float(moves.angle[i, j]) + turn, bool(moves.mirrored[i, j]))
        moved = _warp(second.planes[j][None], matrix, offset, here)[0]
        scores = torch.fft.irfft2(target * torch.fft.rfft2(moved).conj(), s=(size, size))
        scores = scores.roll((reach, reach), (0, 1))[: 2 * reach + 1, : 2 * reach + 1]
        score = float(scores.max()) / max(norm * float(moved.norm()), 1e-9)
        if score > best[0]:
            dy, dx = divmod(int(scores.argmax()), 2 * reach + 1)
            away = np.array([dx - reach, dy - reach]) / size
            best = (score, matrix, offset - matrix @ away)
    score, matrix, offset = best
    if first.labels is not None and second.labels is not None:
        label = torch.from_numpy(second.labels[j]).float()[None]
        moved_label = _warp(label, matrix, offset, here)[0].numpy() > 0.5
        score = overlap(first.labels[i], moved_label)
    return Neighbour(j, float(score), matrix, offset, here)


def _pooled(plane: NDArray[np.uint8] | NDArray[np.bool_], size: int) -> NDArray[np.float32]:
    """A plane [S, S] at [size, size]: the mean of each area."""
    return F.adaptive_avg_pool2d(torch.from_numpy(plane).float()[None], size)[0].numpy()


def _centres(fields: NDArray[np.bool_]) -> Tensor:
    """Middles of fields of view [N, S, S] as shares of the side; (x, y), [N, 2]."""
    side = fields.shape[-1]
    places = (np.arange(side) + 0.5) / side
    area = np.maximum(fields.sum(axis=(1, 2)), 1)
    x, y = (fields.sum(axis=axis) @ places / area for axis in (1, 2))
    return torch.from_numpy(np.stack([x, y], axis=1)).float()


def _spectra(views: Views, shifts: list[tuple[int, int]]) -> Tensor:
    """Fourier transforms along the angle of the pictures about their centre moved by each shift, each of
    norm 1: complex [N, shifts, frequencies, RADII]."""
    coarse = F.adaptive_avg_pool2d(views.planes[:, None], COARSE)
    radii = (torch.arange(RADII) + 0.5) / RADII / 2
    angles = torch.arange(ANGLES) * (2 * torch.pi / ANGLES)
    circle = torch.stack([angles.cos(), angles.sin()], dim=-1)
    places = radii[:, None, None] * circle  # [RADII, ANGLES, 2]
    moved = views.centres[:, None] + torch.tensor(shifts) / COARSE
    grid = (moved[:, :, None, None] + places) * 2 - 1
    count, many = grid.shape[:2]
    polar = F.grid_sample(coarse, grid.flatten(1, 2), align_corners=False)[:, 0]
    polar = polar.reshape(count, many, RADII, ANGLES)
    weight = radii[:, None]
    mean = (polar * weight).sum(dim=(2, 3), keepdim=True) / (weight.sum() * ANGLES)
    polar = (polar - mean) * weight.sqrt()
    polar = polar / polar.flatten(2).norm(dim=2).clamp(min=1e-9)[..., None, None]
    return torch.fft.rfft(polar, dim=3).transpose(2, 3)


def _best(own: Tensor, other: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """Best correlation of spectra [M, K, R] and [N, V, K, R], each [M, N]: its value, its turn (those of
    mirror images behind the others), its shift."""
    count, many = other.shape[:2]
    ours = own.transpose(0, 1)  # [K, M, R]
    theirs = other.flatten(0, 1).permute(1, 2, 0)  # [K, R, N * V]
    values, places = [], []
    for moved in (theirs.conj(), theirs):  # as it is; as a mirror image
        scores = torch.fft.irfft((ours @ moved), n=ANGLES, dim=0)
        value, place = scores.max(dim=0)
        values.append(value)
        places.append(place)
    mirrored = values[1] > values[0]
    value = torch.where(mirrored, values[1], values[0])
    place = torch.where(mirrored, places[1] + ANGLES, places[0])
    value, place = (x.reshape(len(own), count, many) for x in (value, place))
    best, shift = value.max(dim=2)
    return best, place.gather(2, shift[..., None])[..., 0], shift


def _matrix(angle: float, mirrored: bool) -> NDArray[np.float64]:
    """From a direction in the first picture to the one in the second that is laid on it."""
    cosine, sine = np.cos(angle), np.sin(angle)
    if mirrored:
        return np.array([[cosine, sine], [sine, -cosine]])
    return np.array([[cosine, sine], [-sine, cosine]])


def _warp(
    planes: Tensor,
    matrix: NDArray[np.float64],
    offset: NDArray[np.float64],
    here: NDArray[np.float64],
) -> Tensor:
    """Planes [C, S, S] so that ``offset`` in them comes to lie on ``here``, turned by ``matrix``."""
    side = planes.shape[-1]
    places = (torch.arange(side) + 0.5) / side
    y, x = torch.meshgrid(places, places, indexing="ij")
    away = torch.stack([x - here[0], y - here[1]], dim=-1)
    grid = (away @ torch.from_numpy(matrix.T).float() + torch.from_numpy(offset).float()) * 2 - 1
    return F.grid_sample(planes[None], grid[None].float(), align_corners=False)[0]
