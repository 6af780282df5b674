"""The package that ships: what its card says must be true of pairs drawn now."""

from itertools import combinations
from pathlib import Path

import numpy as np
import pytest

import models
from models.metrics import map_measures, overlap, shifted_contrast, vessel_contrast
from models.package import load_package
from models.sampling import PairSampler, pair_seed
from tests.models.runs import threads

SHIPPED = Path(models.__file__).parent / "packages" / "chase-256"
COUNT = 16
# Deviation among the 20 training photographs of the mean red, green and blue in the field of view, grey
# levels of 255.
REAL_LIGHT = (35.8, 8.5, 3.1)


@pytest.fixture(scope="module")
def package():
    return load_package(SHIPPED)


@pytest.fixture(scope="module")
def sampler(package):
    return PairSampler(package, "cpu")


@pytest.fixture(scope="module")
def drawn(sampler):
    """The first pairs of an order with another seed than the card's."""
    seeds = [pair_seed(1, index) for index in range(COUNT)]
    batches = range(0, COUNT, sampler.batch_size)
    return [pair for i in batches for pair in sampler.sample(seeds[i : i + sampler.batch_size])]


def mean(values):
    return float(np.mean(list(values)))


def test_no_two_maps_share_a_layout(drawn, package):
    """Collapsed maps overlapped by 0.99; real ones overlap by about a half."""
    labels = [pair.label > 0 for pair in drawn]
    overlaps = [max(overlap(a, b), overlap(a[:, ::-1], b)) for a, b in combinations(labels, 2)]
    assert max(overlaps) < 0.85
    nearest = package.manifest["metrics"]["nearest_training_map_overlap"]
    assert mean(overlaps) < nearest["real_among_themselves"]["mean"] + 0.1


def test_maps_are_trees_like_the_real_ones(drawn, package):
    made = [map_measures(pair.label > 0, pair.mask > 0) for pair in drawn]
    real = package.manifest["metrics"]["maps_real"]
    share = real["vessel_share"]
    assert mean(m["vessel_share"] for m in made) == pytest.approx(share["mean"], rel=0.25)
    assert mean(m["calibre"] for m in made) == pytest.approx(real["calibre"]["mean"], rel=0.25)
    assert min(m["reach"] for m in made) > 0.9
    assert mean(m["largest_piece_share"] for m in made) > 0.6


def test_dark_vessels_lie_on_the_label(drawn):
    def mean_of(measure):
        return mean(measure(pair.image, pair.label > 0, pair.mask > 0) for pair in drawn)

    assert mean_of(vessel_contrast) > 4
    assert mean_of(shifted_contrast) < 0


def test_photographs_of_an_order_differ_in_light(drawn):
    lit = [pair.image[pair.mask > 0].mean(axis=0) for pair in drawn]
    assert (np.std(lit, axis=0) > np.array(REAL_LIGHT) / 2).all()


@pytest.mark.parametrize("name", ["chase-256", "chase-512"])
def test_pairs_do_not_depend_on_the_number_of_threads(name):
    package = load_package(SHIPPED.with_name(name))
    seeds = [pair_seed(3, index) for index in range(package.sampling.batch_size)]
    drawn = []
    for count in (1, 2):
        with threads(count):
            drawn.append(PairSampler(package, "cpu").sample(seeds))
    for one, two in zip(*drawn, strict=True):
        assert np.array_equal(one.label, two.label) and np.array_equal(one.image, two.image)


def test_labels_are_traced_along_the_drawn_maps(sampler, drawn):
    """A photograph does not show all of its map; it must show most of it, and little else."""
    maps = sampler.draw_maps([pair.seed for pair in drawn[: sampler.batch_size]])
    overlaps = [
        overlap(pair.label > 0, made.label > 0) for pair, made in zip(drawn, maps, strict=False)
    ]
    assert 0.8 < mean(overlaps) < 1


def test_card_and_manifest_agree(package):
    assert f"# {package.name} {package.version}\n" in (SHIPPED / "CARD.md").read_text()
    assert package.sampling.eye == "right"
    assert len(package.manifest["training_data"]["images"]) == 20
    assert sum(path.stat().st_size for path in SHIPPED.iterdir()) < 40 * 2**20


@pytest.mark.parametrize("name", ["chase-512", "chase-1024"])
def test_larger_packages_draw_the_same_pairs_enlarged(name, sampler, drawn):
    """Seed for seed: the vessels and the light of ``chase-256``, and vessels dark on their label."""
    larger = PairSampler(load_package(SHIPPED.with_name(name)), "cpu")
    maps = larger.draw_maps([drawn[0].seed])
    factor = larger.resolution // 256
    shares = (maps[0].label > 0).reshape(256, factor, 256, factor).mean(axis=(1, 3))
    [smaller] = sampler.draw_maps([drawn[0].seed])
    assert overlap(shares > 0.35, smaller.label > 0) > 0.9
    [pair] = larger.render(maps)
    shrunk = pair.image.reshape(256, factor, 256, factor, 3).mean(axis=(1, 3))
    assert np.abs(shrunk - drawn[0].image).mean() < 12
    label, field = pair.label > 0, pair.mask > 0
    shown = vessel_contrast(pair.image, label, field)
    assert shown > 2 and shifted_contrast(pair.image, label, field) < shown - 4


@pytest.mark.parametrize("name", ["hrf-512", "hrf-1024"])
def test_packages_of_hrf_show_vessels_in_a_field_cut_above_and_below(name):
    package = load_package(SHIPPED.with_name(name))
    assert package.sampling.eye == "right"
    [pair] = PairSampler(package, "cpu").sample([pair_seed(0, 0)])
    label, field = pair.label > 0, pair.mask > 0
    rows, columns = field.any(axis=1).sum(), field.any(axis=0).sum()
    assert rows / columns < 0.8
    assert 0.04 < label.sum() / field.sum() < 0.16
    shown = vessel_contrast(pair.image, label, field)
    assert shown > 2 and shifted_contrast(pair.image, label, field) < shown - 4
