"""Gaps in drawn vessels are closed where a vessel would go on, and nowhere else."""

import numpy as np
from scipy import ndimage

from models.bridging import EIGHT, bridge_gaps


def label_of(*lines: tuple[slice | int, slice | int]) -> np.ndarray:
    label = np.zeros((48, 48), dtype=bool)
    for line in lines:
        label[line] = True
    return label


def pieces(label: np.ndarray) -> int:
    return ndimage.label(label, EIGHT)[1]


def test_a_broken_vessel_is_joined_along_its_course() -> None:
    broken = label_of((slice(20, 23), slice(4, 20)), (slice(20, 23), slice(24, 44)))
    whole = bridge_gaps(broken, 6)
    assert pieces(whole) == 1
    added = np.argwhere(whole & ~broken)
    assert set(added[:, 1]) == {20, 21, 22, 23} and set(added[:, 0]) <= {20, 21, 22}


def test_a_wide_gap_stays() -> None:
    broken = label_of((slice(20, 23), slice(4, 16)), (slice(20, 23), slice(32, 44)))
    assert np.array_equal(bridge_gaps(broken, 6), broken)


def test_vessels_side_by_side_are_not_joined() -> None:
    parallel = label_of((20, slice(4, 44)), (25, slice(4, 44)))
    assert np.array_equal(bridge_gaps(parallel, 6), parallel)


def test_a_branch_is_joined_to_its_stem() -> None:
    branch = label_of((slice(4, 44), slice(20, 23)), (30, slice(27, 44)))
    assert pieces(bridge_gaps(branch, 6)) == 1


def test_no_ring_is_closed_and_dots_start_nothing() -> None:
    bow = label_of(
        (10, slice(10, 30)), (slice(10, 30), 10), (30, slice(10, 30)), (slice(14, 27), 33)
    )
    joined = bridge_gaps(bow, 8)
    assert pieces(joined) == 1
    holes = ndimage.label(~joined)[1] - 1
    assert holes == 0
    dots = label_of((10, 10), (10, 14))
    assert np.array_equal(bridge_gaps(dots, 6), dots)


def test_an_empty_map_stays_empty() -> None:
    assert not bridge_gaps(label_of(), 6).any()
