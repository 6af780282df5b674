"""The measures on a card."""

import numpy as np
import pytest

from models.metrics import map_measures, nearest_overlap, overlap, shifted_contrast, vessel_contrast


def cross():
    label = np.zeros((64, 64), bool)
    label[31:34, 8:56] = True
    label[8:56, 31:34] = True
    return label


FIELD = np.hypot(*np.mgrid[-31.5:32, -31.5:32]) <= 30


def test_measures_of_a_cross():
    measures = map_measures(cross(), FIELD)
    assert measures["pieces"] == 1 and measures["largest_piece_share"] == 1
    assert measures["calibre"] == pytest.approx(3, abs=0.1)
    assert measures["vessel_share"] == pytest.approx((2 * 3 * 48 - 9) / FIELD.sum())
    assert measures["reach"] == pytest.approx(24 / 30, abs=0.03)


def test_an_empty_map_measures_zero():
    assert set(map_measures(np.zeros((64, 64), bool), FIELD).values()) == {0.0}


def test_contrast_is_positive_where_dark_vessels_lie_on_the_label():
    photo = np.full((64, 64, 3), 120, np.uint8)
    photo[cross()] = 80
    assert vessel_contrast(photo, cross(), FIELD) == pytest.approx(40, abs=1)
    assert abs(shifted_contrast(photo, cross(), FIELD)) < 15


def test_a_copy_overlaps_fully_even_mirrored_and_nudged():
    label = cross()
    label[10:12, 8:31] = True
    assert overlap(label, np.roll(label, 2, axis=1)) > 0.9
    assert nearest_overlap(label[:, ::-1], [label]) == 1.0
    other = np.zeros_like(label)
    other[50:52, 40:60] = True
    assert overlap(label, other) < 0.3
