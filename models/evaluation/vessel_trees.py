"""What a vessel map looks like as a tree: measures of its skeleton, beside those of models/metrics.py."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage
from skimage.morphology import skeletonize

from models.metrics import EIGHT, Label, map_measures, small_loops

# Of the side. Shorter pieces of skeleton say nothing of how a vessel winds.
SHORTEST_SEGMENT = 0.04
SMOOTHING = 5  # pixels along a centre line, against the staircase of the pixel grid
# The eight neighbours of a pixel, in a circle.
AROUND = ((-1, 0), (-1, 1), (0, 1), (1, 1), (1, 0), (1, -1), (0, -1), (-1, -1))


def tree_measures(label: Label, field: Label) -> dict[str, float]:
    """Of one label [H, W] in its field of view [H, W]; an empty label has 0 in all.

    vessel_share, calibre, pieces, largest_piece_share: see :func:`models.metrics.map_measures`.
    branch_points and end_points: of the skeleton. small_loops: see :func:`models.metrics.small_loops`.
    tortuosity: length of the centre lines between branch points over the straight lines between their
    ends, at least 1. thin: fraction of the centre lines where a vessel is at most a pixel wide, or narrower than
    3 pixels of 1024 where these are more. fractal_dimension: by box counting (about 1.4 to 1.5 of real trees).
    """
    plain = map_measures(label, field)
    del plain["reach"]
    if not label.any():
        names = (
            "branch_points",
            "end_points",
            "small_loops",
            "tortuosity",
            "thin",
            "fractal_dimension",
        )
        return plain | dict.fromkeys(names, 0.0)
    skeleton = skeletonize(label)
    branches, ends = branch_and_end_points(skeleton)
    return plain | {
        "branch_points": float(branches),
        "end_points": float(ends),
        "small_loops": float(small_loops(label)),
        "tortuosity": tortuosity(skeleton),
        "thin": thin_fraction(label, skeleton),
        "fractal_dimension": fractal_dimension(label),
    }


def branch_and_end_points(skeleton: Label) -> tuple[int, int]:
    """How many there are in a skeleton [H, W] one pixel wide.

    A pixel is a branch point if at least three lines leave it (its crossing number); adjacent ones
    count once. It is an end point if it has one neighbour.
    """
    neighbours = _neighbours(skeleton)
    crossings = (~neighbours & np.roll(neighbours, -1, axis=0)).sum(axis=0)
    branching = skeleton & (crossings >= 3)
    ends = skeleton & (neighbours.sum(axis=0) == 1)
    return int(ndimage.label(branching, EIGHT)[1]), int(ends.sum())


def tortuosity(skeleton: Label) -> float:
    """Length over straight distance of all segments between branch points together; 1 if there are none.

    Segments shorter than SHORTEST_SEGMENT of the side, and closed rings, are left out.
    """
    lines = skeleton & (_neighbours(skeleton).sum(axis=0) <= 2)
    pieces, _ = ndimage.label(lines, EIGHT)
    shortest = SHORTEST_SEGMENT * skeleton.shape[0]
    arcs = chords = 0.0
    for number, box in enumerate(ndimage.find_objects(pieces), start=1):
        if max(side.stop - side.start for side in box) < shortest:
            continue
        points = _in_order(np.argwhere(pieces[box] == number))
        if points is None:
            continue
        smooth = ndimage.uniform_filter1d(points.astype(float), SMOOTHING, axis=0, mode="nearest")
        arcs += float(np.hypot(*np.diff(smooth, axis=0).T).sum())
        chords += float(np.hypot(*(smooth[-1] - smooth[0])))
    return arcs / chords if chords else 1.0


def thin_fraction(label: Label, skeleton: Label) -> float:
    """Fraction of the skeleton's pixels where the label is narrow; see :func:`tree_measures`."""
    widths = 2 * ndimage.distance_transform_edt(label)[skeleton] - 1
    return float((widths < max(1.5, 3 * len(label) / 1024)).mean())


def fractal_dimension(label: Label) -> float:
    """Slope of the number of boxes that hold vessel over the inverse box side, both as logarithms.

    Boxes from 2 pixels to an eighth of the side.
    """
    side = label.shape[0]
    boxes = [2**i for i in range(1, 16) if 2**i <= side / 8]
    counts = []
    for box in boxes:
        cut = side // box * box
        tiles = label[:cut, :cut].reshape(cut // box, box, cut // box, box)
        counts.append(max(1, int(tiles.any(axis=(1, 3)).sum())))
    return float(-np.polyfit(np.log(boxes), np.log(counts), 1)[0]) if len(boxes) > 1 else 0.0


def _neighbours(plane: Label) -> Label:
    """The eight neighbours of each pixel of a plane [H, W], in a circle: [8, H, W]."""
    padded = np.pad(plane, 1)
    h, w = plane.shape
    return np.stack([padded[1 + y : 1 + y + h, 1 + x : 1 + x + w] for y, x in AROUND])


def _in_order(points: NDArray[np.intp]) -> NDArray[np.intp] | None:
    """The pixels of an open line [N, 2] from one end to the other; None of a ring."""
    left = {(int(y), int(x)) for y, x in points}

    def beside(y: int, x: int) -> list[tuple[int, int]]:
        return [(y + dy, x + dx) for dy, dx in AROUND if (y + dy, x + dx) in left]

    here = next((point for point in sorted(left) if len(beside(*point)) == 1), None)
    if here is None:
        return None
    line = []
    while here is not None:
        line.append(here)
        left.remove(here)
        here = next(iter(beside(*here)), None)
    return np.array(line)
