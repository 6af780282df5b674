"""Maps that an order keeps away from: copies of them are known again."""

import numpy as np
import torch

from models.likeness import KnownMaps
from models.sampling import Pair, VesselMap
from tests.zips import Pixels, disc, vessels


def drawn(label: Pixels) -> VesselMap:
    field = disc(label.shape[0])
    inside = label & field
    return VesselMap(
        0,
        inside.astype(np.uint8),
        field.astype(np.uint8),
        torch.zeros(1),
        inside.astype(np.float32),
    )


def test_a_copy_is_known_however_it_lies() -> None:
    known = KnownMaps([drawn(vessels(number, 128)) for number in (0, 20)])
    label = vessels(20, 128)
    for copy in (label, label[:, ::-1], np.rot90(label), np.roll(label, 3, axis=1)):
        assert known.likeness(drawn(copy)) > 0.9
    other = np.zeros_like(label)
    other[20:110:9, 40:90] = True
    assert known.likeness(drawn(other)) < 0.9
    assert known.likeness(drawn(np.zeros_like(label))) == 0


def test_a_pair_is_known_by_its_label() -> None:
    """Where labels are traced in photographs, the map as it was drawn is not what is delivered."""
    known, made = KnownMaps([drawn(vessels(20, 128))]), drawn(vessels(3, 128))
    picture = np.repeat(made.field[..., None], 3, axis=2)
    pair = Pair(0, picture, made.label * 255, made.field * 255, made.vessel_share)
    assert known.likeness(pair) == known.likeness(made) < 0.9
