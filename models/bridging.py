"""Gaps in drawn vessels, closed.

Vessels are continuous, and people draw them so. A network that draws pixel by pixel leaves gaps where
it is in doubt, most of all in thin vessels.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage
from scipy.spatial import cKDTree
from skimage.draw import line
from skimage.morphology import skeletonize

EIGHT = np.ones((3, 3), dtype=int)
LOOK_BACK = 6.0  # pixels of a centre line that tell where it is heading
STRAIGHT = 0.5  # least cosine of the angle between that and a bridge: 60 degrees


def bridge_gaps(label: NDArray[np.bool_], longest: float) -> NDArray[np.bool_]:
    """A label [H, W] whose 8-connected pieces are joined by lines of one pixel's width.

    A bridge goes on where a piece's centre line ends, about in its direction, for at most ``longest``
    pixels. The shortest are drawn first, and none between pieces that are joined already: no ring is
    closed. Pieces that nothing is near to stay alone.
    """
    pieces, count = ndimage.label(label, EIGHT)
    skeleton = skeletonize(label)
    # A centre line's last pixel has one neighbour besides itself; a dot has none.
    ends = np.argwhere(skeleton & (ndimage.convolve(skeleton.astype(int), EIGHT) <= 2))
    rim = np.argwhere(label & ~ndimage.binary_erosion(label))
    if count < 2 or not len(ends):
        return label
    heading = ends - _behind(ends, np.argwhere(skeleton), pieces)
    # Centre lines end half a vessel's width before the vessel does.
    near = cKDTree(rim).query_ball_point(ends, longest + 2)
    start = np.repeat(np.arange(len(ends)), [len(found) for found in near])
    stop = np.concatenate([np.asarray(found, dtype=int) for found in near])
    across = rim[stop] - ends[start]
    length = np.hypot(*across.T)
    ahead = (across * heading[start]).sum(axis=1)
    certain = np.hypot(*heading[start].T)  # a dot is heading nowhere
    fits = (certain > 0.5) & (ahead >= STRAIGHT * length * certain)
    from_piece, to_piece = pieces[tuple(ends[start].T)], pieces[tuple(rim[stop].T)]
    joined = np.arange(count + 1)
    bridged = label.copy()
    for k in np.argsort(length, kind="stable"):
        one, other = joined[from_piece[k]], joined[to_piece[k]]
        if one != other and fits[k]:
            joined[joined == one] = other
            bridged[line(*ends[start[k]], *rim[stop[k]])] = True
    return bridged


def _behind(
    ends: NDArray[np.intp], lines: NDArray[np.intp], pieces: NDArray[np.intp]
) -> NDArray[np.float64]:
    """For each end the middle of what its own piece's centre line has near it; [N, 2]."""
    near = cKDTree(lines).query_ball_point(ends, LOOK_BACK)
    own = pieces[tuple(lines.T)]
    return np.array(
        [
            lines[[i for i in found if own[i] == pieces[tuple(end)]]].mean(axis=0)
            for end, found in zip(ends, near, strict=True)
        ]
    )
