"""Plain measures of generated pairs beside real ones, for the package's card.

They catch a model that has gone wrong; whether one is good enough to train on is for an evaluation
to say.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

Label = NDArray[np.bool_]
EIGHT = np.ones((3, 3), dtype=int)
# Shares of the picture. Real vessels, too, enclose less where they cross and more where two arcades meet.
SMALL_LOOP = (3e-5, 3e-3)


def map_measures(label: Label, field: Label) -> dict[str, float]:
    """Of one label [H, W] in its field of view [H, W].

    vessel_share: vessel pixels per field pixel. pieces: 8-connected components.
    largest_piece_share: share of vessel pixels in the largest. calibre: mean vessel width in pixels,
    twice the mean distance to the rim over the pixels where it peaks. reach: distance of the vessel
    pixel farthest from the centre of the field, per radius.
    """
    total = int(label.sum())
    if not total:
        return dict.fromkeys(
            ("vessel_share", "pieces", "largest_piece_share", "calibre", "reach"), 0.0
        )
    pieces = piece_sizes(label)
    depth = ndimage.distance_transform_edt(label)
    ridge = label & (depth == ndimage.maximum_filter(depth, size=3))
    ys, xs = np.nonzero(field)
    radius = np.sqrt(field.sum() / np.pi)
    vessel_ys, vessel_xs = np.nonzero(label)
    away = np.hypot(vessel_ys - ys.mean(), vessel_xs - xs.mean())
    return {
        "vessel_share": total / float(field.sum()),
        "pieces": float(len(pieces)),
        "largest_piece_share": float(pieces.max()) / total,
        "calibre": float(2 * depth[ridge].mean() - 1),
        "reach": float(np.quantile(away, 0.995) / radius),
    }


def piece_sizes(label: Label) -> NDArray[np.intp]:
    """Pixels of each 8-connected piece of a label [H, W]."""
    pieces, _ = ndimage.label(label, structure=EIGHT)
    return np.bincount(pieces.ravel())[1:]


def small_loops(label: Label) -> int:
    """How many regions within SMALL_LOOP the vessels of a label [H, W] enclose, 4-connected.

    Vessels that run side by side and touch again and again make many.
    """
    regions, count = ndimage.label(~label)
    sizes = np.bincount(regions.ravel(), minlength=count + 1)
    edges = (regions[0], regions[-1], regions[:, 0], regions[:, -1])
    sizes[np.concatenate(edges)] = 0  # what reaches the edge is open
    sizes[0] = 0  # the vessels themselves
    least, most = (share * label.size for share in SMALL_LOOP)
    return int(((sizes >= least) & (sizes <= most)).sum())


def vessel_contrast(photo: NDArray[np.uint8], label: Label, field: Label) -> float:
    """Mean green value on the rim of the vessels minus that on them, in grey levels of 255.

    Positive: the vessels of the label are dark in the photograph. The rim is the ring from 2 to 4
    pixels away, inside the field of view.
    """
    green = photo[:, :, 1].astype(np.float64)
    inner = ndimage.binary_dilation(label, EIGHT, iterations=2)
    rim = ndimage.binary_dilation(inner, EIGHT, iterations=2) & ~inner & field
    return float(green[rim].mean() - green[label].mean()) if label.any() and rim.any() else 0.0


def aside(side: int) -> int:
    """Pixels that a label of a picture of ``side`` pixels is moved by to lie beside its vessels.

    By less than a vessel's width it would still lie on them.
    """
    return max(4, round(side / 64))


def shifted_contrast(photo: NDArray[np.uint8], label: Label, field: Label) -> float:
    """Mean contrast after the label is moved aside each way: what chance would give."""
    shift = aside(len(photo))
    moved = [
        np.roll(label, (dy, dx), (0, 1)) & field for dy in (-shift, shift) for dx in (-shift, shift)
    ]
    return float(np.mean([vessel_contrast(photo, m, field) for m in moved]))


def overlap(first: Label, second: Label, tolerance: int = 2) -> float:
    """F1 of two labels, where a pixel is met if the other label comes within ``tolerance`` pixels."""
    if not first.any() or not second.any():
        return 0.0
    near_first = ndimage.binary_dilation(first, EIGHT, iterations=tolerance)
    near_second = ndimage.binary_dilation(second, EIGHT, iterations=tolerance)
    met, found = (
        (first & near_second).sum() / first.sum(),
        (second & near_first).sum() / second.sum(),
    )
    return float(2 * met * found / (met + found)) if met + found else 0.0


def nearest_overlap(label: Label, others: Sequence[Label]) -> float:
    """Highest overlap of a label, or of its mirror image, with any of the others."""
    mirrored = label[:, ::-1]
    return max(max(overlap(label, other), overlap(mirrored, other)) for other in others)


def overlaps_among(labels: Sequence[Label]) -> list[float]:
    """The nearest overlap of each label with the others of its set."""
    return [
        nearest_overlap(label, [*labels[:i], *labels[i + 1 :]]) for i, label in enumerate(labels)
    ]


def summary(values: Sequence[float]) -> dict[str, float]:
    """Mean and standard deviation."""
    return {
        "mean": round(float(np.mean(values)), 4),
        "deviation": round(float(np.std(values)), 4),
    }


def summaries(rows: Sequence[dict[str, float]]) -> dict[str, dict[str, float]]:
    """Mean and standard deviation of each measure."""
    return {name: summary([row[name] for row in rows]) for name in rows[0]}
