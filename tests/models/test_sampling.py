"""Drawing pairs: a pair depends on its seed and nothing else."""

import dataclasses

import numpy as np
import pytest
import torch

from models.metrics import small_loops
from models.package import load_package
from models.sampling import PairSampler, SamplingOptions, pair_seed, without_specks
from models.translator import VESSEL_FROM
from tests.models.runs import threads


@pytest.fixture(scope="module")
def package(tiny_folder):
    return load_package(tiny_folder)


@pytest.fixture(scope="module")
def sampler(package):
    return PairSampler(package, "cpu")


def same(first, second):
    return (
        first.seed == second.seed
        and np.array_equal(first.image, second.image)
        and np.array_equal(first.label, second.label)
        and np.array_equal(first.mask, second.mask)
        and first.vessel_share == second.vessel_share
    )


def test_a_pair_is_what_an_order_promises(sampler):
    pair = sampler.sample([5])[0]
    assert pair.image.shape == (64, 64, 3) and pair.image.dtype == np.uint8
    for plane in (pair.label, pair.mask):
        assert plane.shape == (64, 64) and set(np.unique(plane)) == {0, 255}
    assert (pair.image[pair.mask == 0] == 0).all()
    assert (pair.label[pair.mask == 0] == 0).all()
    assert pair.vessel_share == pytest.approx(
        (pair.label > 0).sum() / (pair.mask > 0).sum(), abs=1e-6
    )


def test_a_pair_does_not_depend_on_its_batch_its_place_or_its_neighbours(sampler):
    seeds = [pair_seed(7, i) for i in range(4)]
    together = sampler.sample(seeds)
    assert all(same(a, sampler.sample([a.seed])[0]) for a in together)
    turned = sampler.sample(seeds[::-1])
    assert all(same(a, b) for a, b in zip(together, turned[::-1], strict=True))


def test_a_pair_does_not_depend_on_the_number_of_threads(sampler):
    first = sampler.sample([1, 2, 3])
    with threads(1 if torch.get_num_threads() > 1 else 2):
        second = sampler.sample([1, 2, 3])
    assert all(same(a, b) for a, b in zip(first, second, strict=True))


def test_a_new_sampler_draws_the_same(sampler, package):
    assert same(sampler.sample([11])[0], PairSampler(package, "cpu").sample([11])[0])


def test_no_two_labels_or_styles_are_alike(sampler):
    pairs = [
        p for i in range(0, 32, 4) for p in sampler.sample([pair_seed(0, i + k) for k in range(4)])
    ]
    assert len({p.label.tobytes() for p in pairs}) == 32
    assert len({p.image.tobytes() for p in pairs}) == 32


def test_seeds_of_neighbouring_orders_and_pairs_are_far_apart():
    seeds = {pair_seed(order, index) for order in range(50) for index in range(50)}
    assert len(seeds) == 2500
    assert all(0 <= seed < 2**63 for seed in seeds)
    assert pair_seed(0, 0) == 6213027144842677344  # it is written in archives: it must never change


def test_too_many_seeds_are_refused(sampler):
    with pytest.raises(ValueError, match="a batch of 5: give 1 to 4"):
        sampler.sample([1, 2, 3, 4, 5])
    with pytest.raises(ValueError, match="a batch of 0"):
        sampler.sample([])


def test_one_style_for_all_leaves_the_labels_as_they_are(sampler):
    seeds = [pair_seed(7, i) for i in range(4)]
    alike = sampler.draw_maps(seeds, SamplingOptions(style_seed=3))
    assert len({tuple(m.style.tolist()) for m in alike}) == 1
    assert (
        alike[0].style.tolist()
        != sampler.draw_maps(seeds, SamplingOptions(style_seed=4))[0].style.tolist()
    )
    own = sampler.draw_maps(seeds)
    assert len({tuple(m.style.tolist()) for m in own}) == 4
    for a, b in zip(alike, own, strict=True):
        assert np.array_equal(a.label, b.label) and np.array_equal(a.field, b.field)


def test_an_eye_is_that_of_the_coin_or_its_mirror_image(sampler, package):
    coins = set()
    for seed in range(4):
        left, right = (
            sampler.sample([seed], SamplingOptions(eye=eye))[0] for eye in ("left", "right")
        )
        assert (left.label[:, ::-1] == right.label).mean() > 0.97  # all but the field's rim
        assert (left.label == right.label).mean() < 0.9
        drawn = sampler.sample([seed])[0]
        assert same(drawn, left) != same(drawn, right)
        coins.add(same(drawn, right))
    assert coins == {True, False}
    assert package.sampling.eye == "right"  # so right is as stage one draws it
    latent = torch.randn(package.vessel_config.latent, generator=torch.Generator().manual_seed(3))
    with torch.inference_mode():
        share = (package.vessel_generator().eval()(latent[None])[0, 0].numpy() + 1) / 2
    assert ((share > package.sampling.threshold) == (right.label > 0))[right.mask > 0].mean() > 0.97


def test_a_package_that_does_not_know_its_eye_refuses_one(package, monkeypatch):
    sampler = PairSampler(package, "cpu")
    monkeypatch.setattr(package, "sampling", dataclasses.replace(package.sampling, eye=None))
    with pytest.raises(ValueError, match="which eye"):
        sampler.sample([1], SamplingOptions(eye="left"))


def test_a_package_without_lesions_draws_none(sampler):
    (pair,) = sampler.sample([1], SamplingOptions(lesions="none"))
    assert (pair.disc, pair.lesions) == (None, None)
    assert (pair.image == sampler.sample([1])[0].image).all()
    with pytest.raises(ValueError, match="draws no lesions"):
        sampler.sample([1], SamplingOptions(lesions="all"))


def test_a_cut_field_takes_rows_from_pairs_and_changes_nothing_else(sampler, package, monkeypatch):
    seeds, bare = [1, 2, 3], np.zeros((64, 64), np.uint8)
    bare[8:40, 30:34] = 1
    whole = sampler.draw_maps(seeds)
    around = sampler.place_map(1, bare, None)
    assert all(m.field.any(axis=1).sum() >= 56 for m in (*whole, around))
    cut_config = dataclasses.replace(package.sampling, field_half_height=0.25)
    monkeypatch.setattr(package, "sampling", cut_config)
    for full, cut in zip(whole, sampler.draw_maps(seeds), strict=True):
        rows = np.flatnonzero(cut.field.any(axis=1))
        assert abs(len(rows) - 32) <= 1 and np.array_equal(cut.field[rows], full.field[rows])
        assert not (cut.label & ~full.label).any() and torch.equal(cut.style, full.style)
    made_up = sampler.place_map(1, bare, None)
    rows = np.flatnonzero(made_up.field.any(axis=1))
    assert (rows[0], rows[-1]) == (8, 55)  # a made-up one is as high as the vessels need
    assert np.array_equal(made_up.label, around.label)
    bare[:20] = 0
    assert sampler.place_map(1, bare, None).field.any(axis=1).sum() == 32


def test_what_a_photograph_is_told_agrees_with_the_label(sampler):
    """Shares above VESSEL_FROM are the label, also where gaps were bridged and specks dropped."""
    bare = np.zeros((256, 256), np.uint8)
    bare[40:200, 122:127] = 1  # at 64 px a column whole, and a quarter of the next
    placed = sampler.place_map(1, bare, None)
    for drawn in (*sampler.draw_maps([1, 2, 3]), placed):
        assert drawn.label.any()
        assert np.array_equal(drawn.shares > VESSEL_FROM, drawn.label > 0)
        assert not drawn.shares[drawn.field == 0].any()
    assert placed.shares[20, 29:33] == pytest.approx([0, 0.5, 0.75, 0], abs=0.005)  # of 255 levels


def test_vessels_begin_faint_whatever_the_threshold_of_the_package(package, monkeypatch):
    config = dataclasses.replace(package.sampling, threshold=0.6)
    monkeypatch.setattr(package, "sampling", config)
    drawn = PairSampler(package, "cpu").draw_maps([1, 2, 3])
    least = min(each.shares[each.label > 0].min() for each in drawn)
    assert VESSEL_FROM < least < 0.6


def test_the_last_digit_of_a_drawn_map_is_not_photographed(package, monkeypatch):
    """Under load a network's output differs now and then by a rounding error."""
    sampler = PairSampler(package, "cpu")
    (drawn,), network = sampler.draw_maps([1]), sampler._vessels
    monkeypatch.setattr(sampler, "_vessels", lambda latents: network(latents) * (1 + 3e-7))
    (again,) = sampler.draw_maps([1])
    assert (again.shares != drawn.shares).sum() <= 2  # where one lay between two levels


def test_a_translator_of_shares_is_told_them(package, monkeypatch):
    config = dataclasses.replace(package.translator_config, shares=True)
    monkeypatch.setattr(package, "translator_config", config)
    sampler = PairSampler(package, "cpu")
    drawn = sampler.place_map(1, np.eye(64, dtype=np.uint8), None)
    faint = dataclasses.replace(drawn, shares=drawn.shares / 2)
    (pair,), (paler,) = sampler.render([drawn]), sampler.render([faint])
    assert np.array_equal(pair.label, paler.label) and not np.array_equal(pair.image, paler.image)


def test_specks_are_dropped_and_trees_kept(package):
    label = np.zeros((16, 16), bool)
    label[3:12, 4] = True
    label[12, 5] = True  # joined by a corner: part of the tree
    label[1, 14] = True
    cleaned = without_specks(label, package.sampling)
    assert cleaned.sum() == 10 and not cleaned[1, 14]


def test_the_environment_names_what_the_bytes_depend_on(sampler):
    assert sampler.environment["torch"] == torch.__version__
    assert sampler.environment["precision"] == "float32"
    assert sampler.environment["device"].startswith("cpu ")


def test_a_device_that_is_not_there_is_named(package):
    if torch.cuda.is_available():
        pytest.skip("a CUDA device is present")
    with pytest.raises(ValueError, match="device cuda: no CUDA device"):
        PairSampler(package, "cuda")


def test_a_map_that_closes_into_nets_is_drawn_again(sampler, package, monkeypatch):
    seeds = list(range(8))
    halves = seeds[:4], seeds[4:]
    first = [drawn for half in halves for drawn in sampler.draw_maps(half)]
    counts = [small_loops(drawn.label > 0) for drawn in first]
    most = sorted(counts)[4]
    config = dataclasses.replace(package.sampling, most_loops=most)
    monkeypatch.setattr(package, "sampling", config)
    within = [drawn for half in halves for drawn in sampler.draw_maps(half)]
    for before, after, count in zip(first, within, counts, strict=True):
        assert np.array_equal(before.label, after.label) == (count <= most)
        assert small_loops(after.label > 0) <= most
        assert np.array_equal(before.field, after.field) and torch.equal(before.style, after.style)
        (alone,) = sampler.draw_maps([before.seed])
        assert np.array_equal(alone.label, after.label)


def test_where_every_map_closes_into_nets_the_one_with_the_fewest_is_taken(
    sampler, package, monkeypatch
):
    (first,) = sampler.draw_maps([3])
    monkeypatch.setattr(package, "sampling", dataclasses.replace(package.sampling, most_loops=0))
    (alone,), together = sampler.draw_maps([3]), sampler.draw_maps([2, 3])
    assert 0 < small_loops(alone.label > 0) < small_loops(first.label > 0)
    assert np.array_equal(alone.label, together[1].label)
