"""The sharp edge around a field of view: its points, the circle through them, and its straight cuts.

All in pixels of a copy of the picture.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

ANGLES = 360

_LEVELS = 8
_SAMPLES = 500  # circles through three edge points
_MOST_POINTS = 1500
_SEED = 20
_Floats = NDArray[np.floating]


def surround_contrast(picture: _Floats) -> tuple[_Floats, float]:
    """How far each pixel of [H, W, 3] is from the surround's colour, and the surround's noise, in levels.

    The surround's colour is that of the corners: of most of them, since a date may be burnt into one.
    """
    height, width = picture.shape[:2]
    patch = max(2, round(0.03 * min(height, width)))
    ends = (slice(0, patch), slice(-patch, None))
    corners = [picture[rows, columns].reshape(-1, 3) for rows in ends for columns in ends]
    colours = np.array([np.median(corner, axis=0) for corner in corners])
    spreads = np.array(
        [
            1.48 * np.median(np.abs(c - m), axis=0).max()
            for c, m in zip(corners, colours, strict=True)
        ]
    )
    near = np.abs(colours[:, None] - colours[None]).max(axis=2) <= 12 + 2 * spreads[:, None]
    # The corner with most like it, and of several the darkest.
    best = max(range(4), key=lambda i: (near[i].sum(), -colours[i].max()))
    surround = np.median(colours[near[best]], axis=0)
    noise = max(0.7, float(np.median(spreads[near[best]])))
    away = np.abs(picture - surround).max(axis=2)
    return ndimage.median_filter(away, 3), noise


@dataclass(frozen=True)
class Edges:
    """Points where the picture rises above a level, seen from one side: [P] each.

    weight: how sharp the rise is, 0 to 1. side: 0 top, 1 bottom, 2 left, 3 right. line: the row or column
    along which it was seen.
    """

    x: _Floats
    y: _Floats
    weight: _Floats
    side: NDArray[np.int64]
    line: NDArray[np.int64]


def _log(contrast: _Floats, noise: float) -> _Floats:
    """A scale on which an edge is as high beside a dim field as beside a bright one."""
    return np.log(contrast + 1.5 + 3 * noise)


def _sharpness(rise: _Floats) -> _Floats:
    return np.clip((rise - 0.25) / 0.75, 0, 1)


def find_edges(contrast: _Floats, noise: float) -> Edges:
    scaled = _log(contrast, noise)
    low = 2 + 2.5 * noise
    high = max(low * 1.5, 0.6 * float(np.percentile(contrast, 75)))
    found: list[tuple[_Floats, ...]] = []
    for level in np.geomspace(low, high, _LEVELS):
        for side in range(4):
            found.append(_seen_from(contrast, scaled, float(level), side))
    x, y, weight, sides, lines = (np.concatenate(part) for part in zip(*found, strict=True))
    return Edges(x, y, weight, sides.astype(np.int64), lines.astype(np.int64))


def _seen_from(contrast: _Floats, scaled: _Floats, level: float, side: int) -> tuple[_Floats, ...]:
    """The first point on each line from a side at which the picture stays above the level."""
    values, scale = (contrast, scaled) if side >= 2 else (contrast.T, scaled.T)
    if side % 2:
        values, scale = values[:, ::-1], scale[:, ::-1]
    lit = values > level
    run = max(2, values.shape[1] // 80)
    stays = lit[:, : lit.shape[1] - run].copy()
    for shift in range(1, run):
        stays &= lit[:, shift : lit.shape[1] - run + shift]
    first = stays.argmax(axis=1)
    lines = np.flatnonzero(stays.any(axis=1) & (first >= 2))
    first = first[lines]
    before, at = values[lines, first - 1], values[lines, first]
    place = first - 0.5 + np.clip((level - before) / np.maximum(at - before, 1e-6), 0, 1)
    end = values.shape[1] - 1
    rise = scale[lines, np.minimum(first + 1, end)] - scale[lines, first - 2]
    if side % 2:
        place = values.shape[1] - place
    along = lines + 0.5
    x, y = (place, along) if side >= 2 else (along, place)
    return x, y, _sharpness(rise), np.full(len(x), float(side)), lines.astype(np.float64)


def find_circle(edges: Edges, shape: tuple[int, ...]) -> tuple[float, float, float] | None:
    """Of circles through three edge points the one with most sharp edge points near it."""
    height, width = shape
    use = np.flatnonzero(edges.weight > 0.05)
    if len(use) < 12:
        return None
    random = np.random.default_rng(_SEED)
    if len(use) > _MOST_POINTS:
        use = random.choice(use, _MOST_POINTS, replace=False)
    x, y, weight = (part[use].astype(np.float64) for part in (edges.x, edges.y, edges.weight))
    picked = random.choice(len(use), (_SAMPLES, 3), p=weight / weight.sum())
    circles = _through(x[picked], y[picked])
    cx, cy, radius = circles.T
    smallest, largest = 0.2 * min(height, width), 0.85 * math.hypot(height, width)
    with np.errstate(invalid="ignore"):
        plausible = (
            (radius > smallest) & (radius < largest)
            & (cx > -0.2 * width) & (cx < 1.2 * width) & (cy > -0.2 * height) & (cy < 1.2 * height)
        )  # fmt: skip
    circles = circles[plausible]
    if not len(circles):
        return None
    distance = np.hypot(
        x[None].astype(np.float32) - circles[:, :1].astype(np.float32),
        y[None].astype(np.float32) - circles[:, 1:2].astype(np.float32),
    )
    distance -= circles[:, 2:].astype(np.float32)
    tolerance = max(1.0, 0.006 * max(height, width))
    votes = (np.abs(distance) < tolerance) @ weight.astype(np.float32)
    best = []
    for index in np.argsort(votes)[::-1][:8]:
        circle = circles[index]
        for reach in (3 * tolerance, 2 * tolerance, tolerance, tolerance):
            fitted = _least_squares(x, y, weight, circle, reach)
            if fitted is None:
                break
            circle = fitted
        off = np.hypot(x - circle[0], y - circle[1]) - circle[2]
        best.append((float(weight[np.abs(off) < tolerance].sum()), tuple(circle)))
    x_, y_, radius_ = (float(value) for value in max(best)[1])
    if not smallest < radius_ < largest:
        return None
    return x_, y_, radius_


def _through(x: _Floats, y: _Floats) -> _Floats:
    """Centre and radius of the circles through three points each, [N, 3] -> [N, 3]."""
    ax, bx, cx = x.T
    ay, by, cy = y.T
    twice = 2 * (ax * (by - cy) + bx * (cy - ay) + cx * (ay - by))
    with np.errstate(divide="ignore", invalid="ignore"):
        a2, b2, c2 = ax**2 + ay**2, bx**2 + by**2, cx**2 + cy**2
        ux = (a2 * (by - cy) + b2 * (cy - ay) + c2 * (ay - by)) / twice
        uy = (a2 * (cx - bx) + b2 * (ax - cx) + c2 * (bx - ax)) / twice
        return np.stack([ux, uy, np.hypot(ax - ux, ay - uy)], axis=1)


def _least_squares(
    x: _Floats, y: _Floats, weight: _Floats, circle: _Floats, reach: float
) -> _Floats | None:
    """One Gauss-Newton step to the points near the circle, nearer ones counting more (Tukey's biweight)."""
    cx, cy, radius = circle
    dx, dy = x - cx, y - cy
    distance = np.hypot(dx, dy)
    off = distance - radius
    w = weight * np.clip(1 - (off / reach) ** 2, 0, None) ** 2
    if (w > 0).sum() < 8:
        return None
    distance = np.maximum(distance, 1e-6)
    matrix = np.stack([dx / distance, dy / distance, np.ones_like(dx)], axis=1)
    normal = matrix.T @ (matrix * w[:, None]) + 1e-6 * np.eye(3)
    return np.asarray(circle) + np.linalg.solve(normal, matrix.T @ (w * off))


def refine_circle(
    circle: tuple[float, float, float], contrast: _Floats, noise: float
) -> tuple[tuple[float, float, float], int, int]:
    """Move the circle to the sharpest edge along each ray near it.

    Returns the circle, and how many of the rays that cross it within the frame have an edge there.
    """
    height, width = contrast.shape
    angles = np.arange(ANGLES) * (2 * math.pi / ANGLES)
    cosines, sines = np.cos(angles), np.sin(angles)
    found = np.zeros(ANGLES, bool)
    near = np.zeros(ANGLES, bool)
    tolerance = max(1.0, 0.006 * max(height, width))
    for reach in (0.06, 0.03, 0.03):
        cx, cy, radius = circle
        steps = np.arange(-max(4.0, reach * radius), max(4.0, reach * radius) + 0.01, 0.5)
        r = radius + steps
        xs = cx + r[None] * cosines[:, None] - 0.5
        ys = cy + r[None] * sines[:, None] - 0.5
        inside = (xs >= 0) & (xs <= width - 1) & (ys >= 0) & (ys <= height - 1)
        linear = ndimage.map_coordinates(contrast, [ys, xs], order=1, mode="nearest")
        values = _log(linear, noise)
        gap = 4  # two pixels on each side
        rise = values[:, : -2 * gap] - values[:, 2 * gap :]
        usable = inside[:, : -2 * gap] & inside[:, 2 * gap :]
        rise = np.where(usable, rise, -1.0)
        # Nearer edges win over slightly sharper ones.
        middle = steps[gap:-gap]
        at = (rise * (1 - 0.3 * np.abs(middle) / np.abs(middle).max())).argmax(axis=1)
        height_of = rise[np.arange(ANGLES), at]
        # On the scale of logarithms the edge lies too far out: its middle is found in levels.
        window = at[:, None] + np.arange(2 * gap + 1)
        fall = np.clip(-np.diff(linear[np.arange(ANGLES)[:, None], window], axis=1), 0, None)
        weights = fall + 1e-6
        offset = ((steps[window[:, :-1]] + 0.25) * weights).sum(axis=1) / weights.sum(axis=1)
        visible = usable[:, len(middle) // 2]
        found = (height_of > 0.4) & visible
        near = found & (np.abs(offset) < tolerance)
        if near.sum() < 12:
            break
        x = cx + (radius + offset) * cosines
        y = cy + (radius + offset) * sines
        weight = np.where(found, np.clip(height_of, 0, 1.5), 0.0)
        fitted: _Floats | None = np.array(circle)
        for tukey in (3 * tolerance, 2 * tolerance, 1.5 * tolerance):
            assert fitted is not None
            fitted = _least_squares(x, y, weight, fitted, tukey)
            if fitted is None:
                break
        if fitted is None or not np.isfinite(fitted).all():
            break
        circle = (float(fitted[0]), float(fitted[1]), float(fitted[2]))
    return circle, int(near.sum()), int(visible.sum())


def find_cuts(
    edges: Edges,
    circle: tuple[float, float, float] | None,
    contrast: _Floats,
    frame: tuple[float, float, float, float],
) -> tuple[float, float, float, float]:
    """Top, bottom, left and right end: a straight edge inside the circle, or else the frame."""
    height, width = contrast.shape
    ends = list(frame)
    for side in range(4):
        use = edges.side == side
        along = edges.x[use] if side < 2 else edges.y[use]
        place = edges.y[use] if side < 2 else edges.x[use]
        weight, line = edges.weight[use], edges.line[use]
        sign = 1 if side % 2 == 0 else -1
        if circle is None:
            chord = np.full(len(place), float(width if side < 2 else height))
            inside = np.ones(len(place), bool)
        else:
            centre, across, radius = (
                (circle[1], circle[0], circle[2]) if side < 2 else (circle[0], circle[1], circle[2])
            )
            # Depth below the arc at this line, and the length of the chord at this place.
            arc = np.sqrt(np.clip(radius**2 - (along - across) ** 2, 0, None))
            inside = sign * (place - (centre - sign * arc)) > max(1.5, 0.01 * radius)
            half = np.sqrt(np.clip(radius**2 - (place - centre) ** 2, 0, None))
            limits = (0, width) if side < 2 else (0, height)
            chord = np.minimum(across + half, limits[1]) - np.maximum(across - half, limits[0])
            inside &= (sign * (centre - place) > 0.1 * radius) & (chord > 4)
        sharp = inside & (weight > 0.4)
        if not sharp.any():
            continue
        bins = np.bincount(
            np.round(place[sharp]).astype(int),
            weights=weight[sharp],
            minlength=max(height, width) + 2,
        )
        pooled = np.convolve(bins, [1, 1, 1], "same")
        peak = int(pooled.argmax())
        at = sharp & (np.abs(place - peak) <= 1.5)
        lines = len(np.unique(line[at]))
        if lines >= 0.55 * float(np.median(chord[at])):
            lines_at = (
                contrast[:, np.unique(line[at])].T if side < 2 else contrast[np.unique(line[at])]
            )
            ends[side] = _middle_of_step(lines_at.mean(axis=0), peak, sign)
    return ends[0], ends[1], ends[2], ends[3]


def _middle_of_step(values: _Floats, place: int, sign: int) -> float:
    """Where the values rise (sign 1) or fall (-1) within a few pixels of a place."""
    start, end = max(0, place - 4), min(len(values), place + 4)
    step = np.clip(sign * np.diff(values[start:end]), 0, None)
    if not step.any():
        return float(place)
    return float((np.arange(start + 1, end) * step).sum() / step.sum())
