"""How like a drawn map is to maps that an order keeps away from, such as those trained on."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from models.evaluation.neighbours import compare, map_views, nearest
from models.evaluation.pair_arrays import PairArrays
from models.pair_generator import DrawnMap
from models.sampling import Pair, VesselMap


class KnownMaps:
    """Maps that drawn ones are compared with, all of one size."""

    def __init__(self, maps: Sequence[VesselMap | DrawnMap]) -> None:
        self._views = map_views(_arrays(maps))

    def likeness(self, drawn: VesselMap | DrawnMap | Pair) -> float:
        """Overlap (F1) of the drawn map with the nearest known one, turned, mirrored and shifted as
        it fits best; 0 to 1."""
        own = map_views(_arrays([drawn]))
        return round(nearest(own, 0, self._views, compare(own, self._views)).score, 4)


def _arrays(maps: Sequence[VesselMap | DrawnMap | Pair]) -> PairArrays:
    labels, fields = (
        np.stack([getattr(each, name) > 0 for each in maps]) for name in ("label", "field")
    )
    photos = np.broadcast_to(np.uint8(0), (*labels.shape, 3))  # maps alone are compared
    return PairArrays(("",) * len(maps), photos, labels, fields)
