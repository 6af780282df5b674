"""The pairs that an evaluation compares."""

import tracemalloc

import numpy as np
import pytest

from models.evaluation.pair_arrays import collect, real_pairs, rendered_pairs, vessel_shares
from models.package import load_package
from models.pairs import find_pairs, load_pairs
from models.sampling import PairSampler


@pytest.fixture(scope="module")
def sampler(tiny_folder):
    return PairSampler(load_package(tiny_folder), "cpu")


def test_photographs_of_real_maps_have_their_very_labels(pair_folder, sampler):
    """A control that teaches wider vessels than the real labels have would blame stage two for it."""
    loaded = load_pairs(find_pairs(pair_folder), 128)
    real, shares = real_pairs(loaded, 64), vessel_shares(loaded, 64)
    rendered = rendered_pairs(sampler, shares, real.fields, 8, seed=1)
    again = [*range(6), 0, 1]
    assert np.array_equal(rendered.labels, real.labels[again]) and real.labels[0].any()
    assert np.array_equal(rendered.fields, real.fields[again])
    assert not np.array_equal(rendered.photos[0], rendered.photos[6])  # another style


def test_pairs_are_not_held_twice(sampler):
    """200 pairs of 1024 px are a gigabyte: twice that, and maps as floats, and a worker is killed."""
    count, shares = 400, np.zeros((1, 64, 64), np.float32)
    rendered_pairs(sampler, shares, shares == 0, 4, seed=0)  # what is made once and kept
    tracemalloc.start()
    try:
        pairs = rendered_pairs(sampler, shares, shares == 0, count, seed=0)
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert peak < 1.5 * sum(each.nbytes for each in (pairs.photos, pairs.labels, pairs.fields))


def test_a_pair_of_another_size_is_named():
    photo, plane = np.zeros((8, 8, 3), np.uint8), np.ones((8, 8), np.uint8)
    with pytest.raises(ValueError, match=r"pair b: .* of \(8, 8\), \(4, 4\) and \(8, 8\)"):
        collect(("a", "b"), [(photo, plane, plane), (photo, plane[:4, :4], plane)])
    with pytest.raises(ValueError, match="no pairs"):
        collect((), [])


def test_a_map_of_shares_is_told_as_it_is(sampler):
    shares = np.zeros((64, 64), np.float32)
    shares[20, 10:50], shares[21, 10:50], shares[5, 5] = 0.2, 0.6, 0.6
    field = np.zeros((64, 64), bool)
    field[8:60, 4:60] = True
    placed = sampler.place_shares(1, shares, field)
    assert np.array_equal(placed.label > 0, (shares > 0.35) & field)
    assert placed.shares[20:22, 30] == pytest.approx([0.2, 0.6], abs=0.002)
    assert not placed.shares[5, 5]


def test_maps_of_another_size_are_refused(sampler):
    maps = np.zeros((1, 32, 32), np.float32)
    with pytest.raises(ValueError, match="maps of 32 px, the model has 64"):
        rendered_pairs(sampler, maps, maps > 0, 1, seed=0)
