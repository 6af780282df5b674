"""Measures of one pair that anyone can picture, and limits to them.

vessel_share: vessel pixels per pixel of the field of view, 0 to 1. connected: share of the vessel
pixels in the largest 8-connected piece, 0 to 1; what is left lies in broken branches. contrast: grey
levels of 255 by which the vessels of the label are darker in the photograph than their rim, in the
green channel (see :func:`models.metrics.vessel_contrast`); below 0 they are lighter.

They turn away what is plainly off. Whether a pair is realistic they do not say.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from math import inf
from typing import TypeVar

from models.metrics import piece_sizes, vessel_contrast
from models.pair_generator import DrawnMap
from models.sampling import Pair, VesselMap

Limits = Mapping[str, tuple[float, float]]  # the least and the most that is taken of a measure
Subject = TypeVar("Subject")


def connected(drawn: VesselMap | DrawnMap | Pair) -> float:
    """Share of the vessel pixels in the largest piece; 0 of an empty map."""
    sizes = piece_sizes(drawn.label > 0)
    return round(float(sizes.max() / sizes.sum()), 4) if len(sizes) else 0.0


def contrast(pair: Pair) -> float:
    """Grey levels by which vessels are darker than their rim."""
    return round(vessel_contrast(pair.image, pair.label > 0, pair.mask > 0), 3)


# What a map shows is looked at before the photograph is made, which costs several times as much; where
# the label is traced in the photograph, after.
OF_MAPS: Mapping[str, Callable[[VesselMap | DrawnMap | Pair], float]] = {
    "vessel_share": lambda drawn: drawn.vessel_share,
    "connected": connected,
}
OF_PHOTOGRAPHS: Mapping[str, Callable[[Pair], float]] = {"contrast": contrast}


def judge(
    subject: Subject, measures: Mapping[str, Callable[[Subject], float]], limits: Limits
) -> tuple[dict[str, float], str | None]:
    """The values of those measures that are limited, and the first that is beyond its limits."""
    values = {name: of(subject) for name, of in measures.items() if name in limits}
    failed = (name for name, v in values.items() if not limits[name][0] <= v <= limits[name][1])
    return values, next(failed, None)


def span(least: float, most: float) -> str:
    """Limits in words."""
    return f"at least {least:g}" if most == inf else f"{least:g} to {most:g}"
