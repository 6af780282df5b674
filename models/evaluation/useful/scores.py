"""Scores of vessel segmentation, within the field of view and of the whole picture.

Pixels of all pictures are pooled, as in lwnet (Galdran et al. 2022); the whole picture's scores are
flattered by the black corners (Kovacs & Fazekas, arXiv 2111.03853) and only there to be compared with
papers that print them.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from skimage.morphology import skeletonize

Labels = NDArray[np.bool_]


def f1_score(found: Labels, truth: Labels) -> float:
    """2 TP / (2 TP + FP + FN); 0 where there is nothing."""
    total = int(found.sum()) + int(truth.sum())
    return float(2 * (found & truth).sum() / total) if total else 0.0


def best_threshold(shares: NDArray[np.float32], truth: Labels) -> float:
    """The probability from which on pixels count as vessel that gives the highest F1, of 0.02 to 0.98."""
    thresholds = np.linspace(0.02, 0.98, 49)
    return float(max(thresholds, key=lambda t: f1_score(shares >= t, truth)).round(2))


def area_under_curve(shares: NDArray[np.float32], truth: Labels) -> float:
    """Area under the receiver operating characteristic, by ranks (Mann-Whitney); ties count half."""
    # Each side sorted by itself: ranks of all pixels of 40 pictures of 1024 px would take gigabytes.
    positives, negatives = np.sort(shares[truth]), np.sort(shares[~truth])
    below, not_above = (
        np.searchsorted(negatives, positives, side).sum() for side in ("left", "right")
    )
    return float((below + not_above) / 2 / (len(positives) * len(negatives)))


def cl_dice(found: Labels, truth: Labels) -> float:
    """Centreline Dice (Shit et al. 2021, arXiv 2003.07311) of one picture [H, W]: the share of each one's
    skeleton that lies in the other, harmonic mean."""
    skeleton_found, skeleton_truth = skeletonize(found), skeletonize(truth)
    if not skeleton_found.any() or not skeleton_truth.any():
        return 0.0
    precision = (skeleton_found & truth).sum() / skeleton_found.sum()
    sensitivity = (skeleton_truth & found).sum() / skeleton_truth.sum()
    both = precision + sensitivity
    return float(2 * precision * sensitivity / both) if both else 0.0


def pooled_scores(
    shares: NDArray[np.float32], truth: Labels, inside: Labels, threshold: float
) -> dict[str, float]:
    """Of vessel probabilities [N, H, W] against labels, pixels ``inside`` only.

    f1, auc, sensitivity, specificity of all pixels together; cl_dice: mean over the pictures.
    """
    found = (shares >= threshold) & inside
    hits, misses = found & truth, inside & ~truth
    per_picture = [cl_dice(f, t) for f, t in zip(found, truth & inside, strict=True)]
    return {
        "f1": round(f1_score(found[inside], truth[inside]), 5),
        "auc": round(area_under_curve(shares[inside], truth[inside]), 5),
        "sensitivity": round(float(hits.sum() / truth[inside].sum()), 5),
        "specificity": round(float((misses & ~found).sum() / misses.sum()), 5),
        "cl_dice": round(float(np.mean(per_picture)), 5),
    }
