"""Whether a label lies on its photograph: vessels are darker in green than what is around them."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from PIL import Image
from scipy import ndimage

WORKING_SIDE = 512  # pixels: measured on a copy of about this size
# In local deviations. Right pairs have more, labels of another photograph less.
FITS_FROM = 0.2
FEWEST = 20  # pixels of vessels


def vessel_darkness(
    photograph: NDArray[np.uint8], vessels: NDArray[np.bool_], field: NDArray[np.bool_]
) -> float | None:
    """How much darker in green the vessels are than the ring around them, in local standard deviations.

    photograph [H, W, 3]; vessels and field [H, W]. None if there are too few vessels to say.
    """
    factor = max(1, round(max(vessels.shape) / WORKING_SIDE))

    def reduced(plane: NDArray[np.uint8]) -> NDArray[np.float32]:
        return np.asarray(Image.fromarray(plane).reduce(factor), np.float32)

    green = reduced(np.ascontiguousarray(photograph[..., 1]))
    inside = reduced(field.astype(np.uint8) * 255) > 254
    part = reduced(vessels.astype(np.uint8) * 255) / 255 * inside
    near = ndimage.maximum_filter(part, 3) > 0.1
    ring = (ndimage.maximum_filter(part, 9) > 0.3) & ~near & inside
    if part.sum() < FEWEST or ring.sum() < FEWEST:
        return None
    window = max(5, max(green.shape) // 16)

    def smooth(plane: NDArray[np.float32]) -> NDArray[np.float32]:
        return ndimage.uniform_filter(plane, window, mode="constant")

    weight = np.maximum(smooth(inside.astype(np.float32)), 1e-3)
    mean = smooth(green * inside) / weight
    variance = smooth(green**2 * inside) / weight - mean**2
    scaled = (green - mean) / np.sqrt(np.maximum(variance, 0) + 1)
    return float(scaled[ring].mean() - (scaled * part).sum() / part.sum())
