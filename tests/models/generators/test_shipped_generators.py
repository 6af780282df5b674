"""The shipped package ``fundus``: what its card says must be true of pairs drawn now."""

from pathlib import Path

import numpy as np
import pytest

import models
from models.generator_package import load_generator_package
from models.metrics import map_measures, shifted_contrast, vessel_contrast
from models.pair_generator import PairGenerator
from models.sampling import pair_seed

SHIPPED = Path(models.__file__).parent / "packages" / "fundus"
COUNT = 200


@pytest.fixture(scope="module")
def package():
    return load_generator_package(SHIPPED)


@pytest.fixture(scope="module")
def generator(package):
    return PairGenerator(package, "cpu")


@pytest.fixture(scope="module")
def drawn(generator):
    """Maps and pairs of an order with another seed than the card's."""
    found = []
    for first in range(0, COUNT, generator.batch_size):
        seeds = [pair_seed(1, first + i) for i in range(generator.batch_size)]
        maps = generator.draw_maps(seeds)
        found += list(zip(maps, generator.render(maps), strict=True))
    return found


def mean(values):
    return float(np.mean(list(values)))


def test_each_label_is_the_map_that_conditioned_its_photograph(drawn, package):
    threshold = package.sampling.thresholds[256]
    assert len(drawn) == COUNT
    for made, pair in drawn:
        conditioned = made.maps[0].numpy() > threshold
        assert np.array_equal(pair.label, np.where(conditioned & (pair.mask > 0), 255, 0))


def test_maps_are_trees_like_the_real_ones(drawn, package):
    made = [map_measures(pair.label > 0, pair.mask > 0) for _, pair in drawn[:40]]
    real = package.manifest["metrics"]["maps_real"]
    assert mean(m["vessel_share"] for m in made) == pytest.approx(
        real["vessel_share"]["mean"], rel=0.35
    )
    assert mean(m["calibre"] for m in made) == pytest.approx(real["calibre"]["mean"], rel=0.25)
    # Its trees are in pieces, as the card says; a better version must say so.
    stated = package.manifest["metrics"]["maps_generated"]["largest_piece_share"]["mean"]
    assert mean(m["largest_piece_share"] for m in made) == pytest.approx(stated, rel=0.25)


def test_photographs_show_their_labels(drawn):
    def mean_of(measure):
        return mean(measure(p.image, p.label > 0, p.mask > 0) for _, p in drawn[:40])

    assert mean_of(vessel_contrast) > 4
    assert mean_of(shifted_contrast) < 1


def test_it_names_what_it_learned_from_and_is_small(package):
    data = package.manifest["training_data"]
    named = " ".join(one["name"] for one in data["data_sets"])
    assert all(name in named for name in ("CHASE_DB1", "HRF", "IDRiD"))
    assert (data["expert_labels"], data["traced_labels"]) == (35, 447)
    assert sum(path.stat().st_size for path in SHIPPED.iterdir()) < 20e6
