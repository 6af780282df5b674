"""Kernel inception distance (Binkowski et al. 2018, arXiv 1801.01401): how far two sets of pictures
lie apart in the features of a fixed network.

The unbiased estimate of the squared maximum mean discrepancy with the kernel (x.y / d + 1)^3. About 0
for two sets from one source, also below 0 by chance; unlike FID it is not biased by small sets.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

Features = NDArray[np.float64]


def kernel(first: Features, second: Features) -> Features:
    """The polynomial kernel of each of [M, D] with each of [N, D]; [M, N]."""
    return (first @ second.T / first.shape[1] + 1) ** 3


def kid(first: Features, second: Features) -> float:
    """Of two whole sets [M, D] and [N, D], at least two pictures each."""
    ours, theirs = kernel(first, first), kernel(second, second)
    return float(_within(ours) + _within(theirs) - 2 * kernel(first, second).mean())


def kid_of_subsets(
    first: Features, second: Features, subset: int, draws: int, generator: np.random.Generator
) -> dict[str, float]:
    """Mean and deviation over random subsets of ``subset`` pictures from each set."""
    values = [
        kid(
            first[generator.choice(len(first), subset, replace=False)],
            second[generator.choice(len(second), subset, replace=False)],
        )
        for _ in range(draws)
    ]
    return {"mean": round(float(np.mean(values)), 5), "deviation": round(float(np.std(values)), 5)}


def kid_of_halves(
    pictures: Features, subset: int, draws: int, generator: np.random.Generator
) -> dict[str, float]:
    """Mean and deviation over random pairs of subsets that share no picture; what chance makes."""
    values = []
    for _ in range(draws):
        order = generator.permutation(len(pictures))
        values.append(kid(pictures[order[:subset]], pictures[order[subset : 2 * subset]]))
    return {"mean": round(float(np.mean(values)), 5), "deviation": round(float(np.std(values)), 5)}


def _within(own: Features) -> float:
    """The mean over pairs of different pictures, which is what makes the estimate unbiased."""
    count = len(own)
    return float((own.sum() - np.trace(own)) / (count * (count - 1)))
