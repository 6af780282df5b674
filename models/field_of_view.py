"""The round field of view of a fundus camera: found in a photograph, drawn exactly."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

# Outside the field of view a photograph is black but for sensor noise and JPEG ringing.
BLACK = 40
# Of the width: a lit part that is higher than this is a whole circle. Shadows seldom take more.
WHOLE_FROM = 0.95


@dataclass(frozen=True)
class FieldOfView:
    """A circle as shares of the picture's side: centre (x, y) and radius.

    half_height: rows farther from y than this are outside, as where a camera's frame cuts the circle
    above and below; 1 cuts nothing.
    """

    x: float
    y: float
    radius: float
    half_height: float = 1.0

    def draw(self, resolution: int) -> NDArray[np.bool_]:
        """The pixels whose centre lies inside, [resolution, resolution]."""
        centres = (np.arange(resolution) + 0.5) / resolution
        away = (centres[None, :] - self.x) ** 2 + (centres[:, None] - self.y) ** 2
        rows = np.abs(centres - self.y) <= self.half_height
        return (away <= self.radius**2) & rows[:, None]


def away_from_edge(fields: NDArray[np.bool_], margin: int) -> NDArray[np.bool_]:
    """The parts of fields of view [..., H, W] that are farther than ``margin`` pixels from all outside them,
    along rows, columns and diagonals."""
    side = 2 * margin + 1
    return ndimage.minimum_filter(fields, size=side, mode="constant", axes=(-2, -1))


def find_field_of_view(photo: NDArray[np.uint8]) -> FieldOfView:
    """Fit the circle, whole or cut above and below, to the lit part of a square photograph [S, S, 3].

    The extent in rows and columns is used, not the area: dark corners of a badly lit photograph
    take from the area but seldom from all four ends. Where fewer rows than columns are lit, the
    circle is cut if both ends are as wide as the chords there would be; otherwise it is in shadow.

    Raises:
        ValueError: if the photograph has no lit part of a tenth of its side.
    """
    side = len(photo)
    lit = photo.max(axis=2) > BLACK
    # A row counts when it is lit over more than stray pixels: lens flare and text are not the field.
    rows = np.flatnonzero(lit.sum(axis=1) > side * 0.05)
    columns = np.flatnonzero(lit.sum(axis=0) > side * 0.05)
    if len(rows) < side / 10 or len(columns) < side / 10:
        raise ValueError("no field of view found: the photograph is black")
    top, bottom, left, right = rows[0], rows[-1] + 1, columns[0], columns[-1] + 1
    height, width = bottom - top, right - left
    # One end may be in shadow: the longer of the two extents is the diameter.
    diameter = max(height, width)
    return FieldOfView(
        x=float(left + right) / 2 / side,
        y=float(top + bottom) / 2 / side,
        radius=float(diameter) / 2 / side,
        half_height=float(height) / 2 / side if _is_cut(lit[top:bottom], width) else 1.0,
    )


def _is_cut(lit: NDArray[np.bool_], width: int) -> bool:
    """Whether a circle of diameter ``width``, of which these rows are lit, is cut above and below."""
    height, side = lit.shape
    if height > width * WHOLE_FROM:
        return False
    depth = side // 200  # the very first row may be half lit
    ends = lit[[depth, -1 - depth]].sum(axis=1)
    return bool(ends.min() > 0.75 * math.sqrt(width**2 - height**2))
