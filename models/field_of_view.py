"""The round field of view of a fundus camera: found in a photograph, drawn exactly."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

# Outside the field of view a photograph is black but for sensor noise and JPEG ringing.
BLACK = 40


@dataclass(frozen=True)
class FieldOfView:
    """A circle as shares of the picture's side: centre (x, y) and radius."""

    x: float
    y: float
    radius: float

    def draw(self, resolution: int) -> NDArray[np.bool_]:
        """The pixels whose centre lies inside, [resolution, resolution]."""
        centres = (np.arange(resolution) + 0.5) / resolution
        away = (centres[None, :] - self.x) ** 2 + (centres[:, None] - self.y) ** 2
        return away <= self.radius**2


def find_field_of_view(photo: NDArray[np.uint8]) -> FieldOfView:
    """Fit the circle to the lit part of a square photograph [S, S, 3].

    The extent in rows and columns is used, not the area: dark corners of a badly lit photograph
    take from the area but seldom from all four ends.

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
    # One end may be in shadow: the longer of the two extents is the diameter.
    diameter = max(bottom - top, right - left)
    return FieldOfView(
        x=float(left + right) / 2 / side,
        y=float(top + bottom) / 2 / side,
        radius=float(diameter) / 2 / side,
    )
