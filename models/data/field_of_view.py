"""The field of view of a fundus photograph: a circle, perhaps cut by straight sides; found and drawn.

The fit follows the sharp edge between the field and its surround. A smooth fall of light, such as a
shadow or a dark rim, has no sharp edge and does not count (random sample consensus on edge points,
Fischler and Bolles 1981, then robust least squares).
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from PIL import Image
from scipy import ndimage

from models.data.field_edges import (
    ANGLES,
    find_circle,
    find_cuts,
    find_edges,
    refine_circle,
    surround_contrast,
)

# Fits below this confidence are reported by name.
SURE_FROM = 0.5
WORKING_SIDE = 320  # pixels: the fit is made on a copy of about this size

_Floats = NDArray[np.floating]


@dataclass(frozen=True)
class FieldOfView:
    """A circle as fractions of the picture's side: centre (x, y) and radius.

    top, bottom, left, right: rows above and below and columns left and right of these are outside, as
    where the frame or a camera's mask cuts the circle.
    """

    x: float
    y: float
    radius: float
    top: float = 0.0
    bottom: float = 1.0
    left: float = 0.0
    right: float = 1.0

    @classmethod
    def cut_above_and_below(
        cls, x: float, y: float, radius: float, half_height: float
    ) -> FieldOfView:
        """A circle without the rows that are farther from y than ``half_height``; 1 cuts nothing."""
        return cls(x, y, radius, top=y - half_height, bottom=y + half_height)

    @property
    def half_height(self) -> float:
        """Distance from y of the farthest row inside, 1 if the circle is whole above or below."""
        farthest = max(self.y - self.top, self.bottom - self.y)
        return farthest if farthest < self.radius else 1.0

    @property
    def bounds(self) -> tuple[float, float, float, float]:
        """Left, top, right and bottom end of the field."""
        return (
            max(self.left, self.x - self.radius),
            max(self.top, self.y - self.radius),
            min(self.right, self.x + self.radius),
            min(self.bottom, self.y + self.radius),
        )

    def draw(self, resolution: int) -> NDArray[np.bool_]:
        """The pixels whose centre lies inside, [resolution, resolution]."""
        centres = (np.arange(resolution) + 0.5) / resolution
        away = (centres[None, :] - self.x) ** 2 + (centres[:, None] - self.y) ** 2
        rows = (centres >= self.top) & (centres <= self.bottom)
        columns = (centres >= self.left) & (centres <= self.right)
        return (away <= self.radius**2) & rows[:, None] & columns

    def draw_in(self, height: int, width: int) -> NDArray[np.bool_]:
        """The pixels inside, [height, width], of the picture whose padded square this is a part of."""
        side = max(height, width)
        top, left = (side - height) // 2, (side - width) // 2
        return self.draw(side)[top : top + height, left : left + width]

    def in_crop(self, left: float, top: float, side: float) -> FieldOfView:
        """The same field as fractions of a square crop, which is given in fractions of the picture's side."""

        def across(value: float) -> float:
            return (value - left) / side

        def down(value: float) -> float:
            return (value - top) / side

        return FieldOfView(
            across(self.x),
            down(self.y),
            self.radius / side,
            down(self.top),
            down(self.bottom),
            across(self.left),
            across(self.right),
        )


@dataclass(frozen=True)
class FieldFit:
    """A field of view that was found, as fractions of the padded square's side.

    confidence: 0 to 1, the part of the visible outline that has a sharp edge where the field's edge
    should be; less for short outlines.
    """

    field: FieldOfView
    confidence: float

    @property
    def sure(self) -> bool:
        return self.confidence >= SURE_FROM


def away_from_edge(fields: NDArray[np.bool_], margin: int) -> NDArray[np.bool_]:
    """The parts of fields of view [..., H, W] that are farther than ``margin`` pixels from all outside them,
    along rows, columns and diagonals."""
    side = 2 * margin + 1
    return ndimage.minimum_filter(fields, size=side, mode="constant", axes=(-2, -1))


def find_field_of_view(photograph: NDArray[np.uint8]) -> FieldFit:
    """Fit a circle, perhaps cut by straight sides, to the edge of the field in a photograph [H, W, 3].

    If there is no round edge, the field is all that is lit within straight sides.

    Raises:
        ValueError: if the photograph is black.
    """
    height, width = photograph.shape[:2]
    factor = max(1, round(max(height, width) / WORKING_SIDE))
    small = np.asarray(Image.fromarray(photograph).reduce(factor), np.float32)
    contrast, noise = surround_contrast(small)
    if noise > 0.05 * np.percentile(contrast, 75):
        # A wider edge is better than one lost in noise.
        small = ndimage.gaussian_filter(small, (1.2, 1.2, 0))
        contrast, noise = surround_contrast(small)
    fit = _fit(contrast, noise, (height / factor, width / factor), small)
    return FieldFit(_of_square(fit.field, height, width, factor), fit.confidence)


def fit_mask(mask: NDArray[np.bool_]) -> FieldOfView:
    """The circle, perhaps cut by straight sides, of a mask [H, W] that is true inside the field.

    Raises:
        ValueError: if nothing is inside.
    """
    if not mask.any():
        raise ValueError("no field of view found: the mask is empty")
    height, width = mask.shape
    if mask.all():
        return _of_square(_all_of(0.0, float(height), 0.0, float(width)), height, width)
    factor = max(1, round(max(height, width) / WORKING_SIDE))
    small = np.asarray(Image.fromarray(mask.astype(np.uint8) * 255).reduce(factor), np.float32)
    fit = _fit(small, 1.0, (height / factor, width / factor), None)
    circle = _of_square(fit.field, height, width, factor)
    rows, columns = np.flatnonzero(mask.any(axis=1)), np.flatnonzero(mask.any(axis=0))
    ends = (float(part) for part in (rows[0], rows[-1] + 1, columns[0], columns[-1] + 1))
    rectangle = _of_square(_all_of(*ends), height, width)

    def differs(field: FieldOfView) -> int:
        return int((field.draw_in(*small.shape) != (small > 127)).sum())

    return min(circle, rectangle, key=differs)


def _of_square(field: FieldOfView, height: int, width: int, factor: int = 1) -> FieldOfView:
    """From pixels of a picture, reduced by a factor, to fractions of the padded square's side."""
    side = max(height, width)
    dx, dy = (side - width) // 2, (side - height) // 2
    return FieldOfView(
        (field.x * factor + dx) / side,
        (field.y * factor + dy) / side,
        field.radius * factor / side,
        (field.top * factor + dy) / side,
        (field.bottom * factor + dy) / side,
        (field.left * factor + dx) / side,
        (field.right * factor + dx) / side,
    )


def _all_of(top: float, bottom: float, left: float, right: float) -> FieldOfView:
    """A rectangle, as the circle around it cut by its sides."""
    radius = math.hypot(bottom - top, right - left) / 2
    return FieldOfView((left + right) / 2, (top + bottom) / 2, radius, top, bottom, left, right)


def _fit(
    contrast: _Floats, noise: float, size: tuple[float, float], picture: _Floats | None
) -> FieldFit:
    """The field in pixels. size: height and width, not rounded up to whole pixels."""
    edges = find_edges(contrast, noise)
    circle = find_circle(edges, contrast.shape)
    frame = (0.0, size[0], 0.0, size[1])
    if circle is not None:
        circle, supported, visible = refine_circle(circle, contrast, noise)
        arc = supported * circle[2] * 2 * math.pi / ANGLES
        if arc > 0.3 * min(size) and supported > 0.35 * visible:
            field = FieldOfView(*circle, *find_cuts(edges, circle, contrast, frame))
            if _is_dark_around(field, contrast):
                return FieldFit(field, _confidence(field, contrast, supported))
    cuts = find_cuts(edges, None, contrast, frame)
    field = _all_of(*cuts)
    if picture is None:
        return FieldFit(field, 1.0)
    inside = picture[int(cuts[0]) : math.ceil(cuts[1]), int(cuts[2]) : math.ceil(cuts[3])].max(
        axis=2
    )
    thirds = [slice(length // 3, length - length // 3) for length in inside.shape]
    middle = float(np.median(inside[tuple(thirds)]))
    if middle < 3 or (np.percentile(contrast, 99) < 4 * noise and middle < 8):
        raise ValueError("no field of view found: the photograph is black")
    # Corners as bright as the middle are inside; darker ones may be out of the light or out of the field.
    patch = max(2, round(0.04 * min(inside.shape)))
    ends = (slice(0, patch), slice(-patch, None))
    corner = sorted(float(np.median(inside[r, c])) for r in ends for c in ends)[1]
    return FieldFit(field, float(np.clip(1.6 * corner / middle, 0, 1)))


def _is_dark_around(field: FieldOfView, contrast: _Floats) -> bool:
    """Whether most of what lies around the field is unlike it, as far as the frame shows any of it."""
    height, width = contrast.shape
    rows, columns = np.arange(height)[:, None] + 0.5, np.arange(width)[None] + 0.5
    away = np.hypot(columns - field.x, rows - field.y) - field.radius
    outside = contrast[away > 2]
    within = (rows > field.top) & (rows < field.bottom) & (columns > field.left)
    within &= columns < field.right
    rim = contrast[within & (away < -1) & (away > -9)]
    if outside.size < 0.002 * contrast.size or not rim.size:
        return True
    return bool(np.median(outside) < 0.4 * np.median(rim))


def _confidence(field: FieldOfView, contrast: _Floats, supported: int) -> float:
    """The supported part of the arc that neither frame nor cuts hide; less for a short arc."""
    height, width = contrast.shape
    angles = np.arange(ANGLES) * (2 * math.pi / ANGLES)
    x, y = field.x + field.radius * np.cos(angles), field.y + field.radius * np.sin(angles)
    margin = 2.5
    visible = (
        (x > max(field.left, 0) + margin) & (x < min(field.right, width) - margin)
        & (y > max(field.top, 0) + margin) & (y < min(field.bottom, height) - margin)
    ).sum()  # fmt: skip
    part = min(1.0, supported / max(int(visible), 1))
    return float(part * min(1.0, supported / 72))
