"""Orders with limits: which candidate becomes the pair, and what it does not depend on."""

import math

import numpy as np
import pytest

from models import selection
from models.package import load_package
from models.quality import connected, contrast
from models.sampling import DEFAULT_OPTIONS, PairSampler, SamplingOptions, pair_seed
from models.seeds import candidate_seed
from models.selection import LimitsNotMet, Selection

SEED = 7


@pytest.fixture(scope="module")
def sampler(tiny_folder):
    return PairSampler(load_package(tiny_folder), "cpu")


@pytest.fixture(scope="module")
def tracing(traced_folder):
    return PairSampler(load_package(traced_folder), "cpu")


@pytest.fixture(scope="module")
def usual(sampler):
    """Vessel share and contrast of some candidates, sorted."""
    return usual_of(sampler)


def usual_of(sampler):
    drawn = [p for i in range(0, 32, 4) for p in sampler.sample([SEED + i + k for k in range(4)])]
    return sorted(p.vessel_share for p in drawn), sorted(contrast(p) for p in drawn)


def choose(sampler, indices, limits, options=DEFAULT_OPTIONS):
    batches = Selection(sampler, SEED, options, limits).pairs(indices)
    return [chosen for batch in batches for chosen in batch]


def limits_for(usual):
    """A range that a third of the maps is in, and a contrast that half of the photographs have."""
    shares, contrasts = usual
    return {"vessel_share": (shares[10], shares[20]), "contrast": (contrasts[16], math.inf)}


def by_hand(sampler, index, limits):
    """One candidate after another, each alone: seed of the first good one, and the rejected."""
    rejected = {}
    for candidate in range(1000):
        (pair,) = sampler.sample([candidate_seed(SEED, index, candidate)])
        values = {"vessel_share": pair.vessel_share, "contrast": contrast(pair)}
        failed = [n for n, (low, high) in limits.items() if not low <= values[n] <= high]
        if not failed:
            return pair, values, rejected
        rejected[failed[0]] = rejected.get(failed[0], 0) + 1
    raise AssertionError("no candidate is good")


def test_without_limits_the_first_candidates_are_the_pairs(sampler):
    chosen = choose(sampler, range(3, 12), {})
    assert [(c.index, c.pair.seed) for c in chosen] == [
        (i, pair_seed(SEED, i)) for i in range(3, 12)
    ]
    assert all(c.quality is c.rejected is None for c in chosen)
    (again,) = sampler.sample([chosen[7].pair.seed])
    np.testing.assert_array_equal(again.image, chosen[7].pair.image)


def test_each_pair_is_its_first_good_candidate(sampler, usual):
    limits = limits_for(usual)
    for chosen in choose(sampler, range(10), limits):
        pair, values, rejected = by_hand(sampler, chosen.index, limits)
        assert chosen.pair.seed == pair.seed
        assert (chosen.quality, chosen.rejected) == (values, rejected)
        np.testing.assert_array_equal(chosen.pair.image, pair.image)
        np.testing.assert_array_equal(chosen.pair.label, pair.label)


def test_limits_hold_for_the_label_that_is_traced(tracing):
    limits = limits_for(usual_of(tracing))
    for chosen in choose(tracing, range(6), limits):
        pair, values, rejected = by_hand(tracing, chosen.index, limits)
        assert (chosen.pair.seed, chosen.quality) == (pair.seed, values)
        assert chosen.rejected == rejected
        np.testing.assert_array_equal(chosen.pair.label, pair.label)


def test_neighbours_and_shards_change_nothing(sampler, usual):
    limits = limits_for(usual)
    whole = choose(sampler, range(9), limits)
    parts = [
        c for part in (range(1), range(1, 7), range(7, 9)) for c in choose(sampler, part, limits)
    ]
    assert [(c.pair.seed, c.rejected) for c in parts] == [(c.pair.seed, c.rejected) for c in whole]
    assert sum(sum(c.rejected.values()) for c in whole) > 9  # or the limits were none
    for a, b in zip(whole, parts, strict=True):
        np.testing.assert_array_equal(a.pair.image, b.pair.image)


def test_photographs_are_made_of_good_maps_only(sampler, usual, monkeypatch):
    rendered, limits = [], {"vessel_share": limits_for(usual)["vessel_share"]}
    render = sampler.render
    monkeypatch.setattr(
        sampler, "render", lambda maps: (rendered.append(len(maps)), render(maps))[1]
    )
    choose(sampler, range(10), limits)
    assert rendered == [4, 4, 2]


def test_a_wish_holds_for_all_candidates(sampler, usual):
    chosen = choose(sampler, range(4), limits_for(usual), SamplingOptions(style_seed=1, eye="left"))
    for each in chosen:
        (again,) = sampler.sample([each.pair.seed], SamplingOptions(style_seed=1, eye="left"))
        np.testing.assert_array_equal(again.image, each.pair.image)


def test_a_search_ends_and_says_what_there_is(sampler, monkeypatch):
    monkeypatch.setattr(selection, "MOST_CANDIDATES", 6)
    with pytest.raises(LimitsNotMet) as caught:
        choose(sampler, range(5, 7), {"vessel_share": (0.99, 1.0)})
    assert "none of 6 candidates for pair 5" in str(caught.value)
    assert "where 0.99 to 1 is asked for" in str(caught.value)
    with pytest.raises(LimitsNotMet, match="at least 200 is asked for"):
        choose(sampler, range(1), {"contrast": (200, math.inf)})


def test_a_caller_can_stop_a_long_search(sampler):
    batches = Selection(sampler, SEED, DEFAULT_OPTIONS, {"vessel_share": (0.99, 1.0)}).pairs(
        range(4)
    )
    assert [next(batches) for _ in range(3)] == [[], [], []]


def test_connected_is_the_share_of_the_largest_piece(sampler):
    (drawn,) = sampler.draw_maps([1])
    label = np.zeros((64, 64), np.uint8)
    drawn = type(drawn)(drawn.seed, label, drawn.field, drawn.style, drawn.shares)
    assert connected(drawn) == 0
    label[10, 10:40], label[50, 10:20] = 1, 1
    assert connected(drawn) == 0.75


def test_candidates_have_seeds_of_their_own():
    seeds = {candidate_seed(o, i, k) for o in range(12) for i in range(12) for k in range(12)}
    assert len(seeds) == 12**3
    assert candidate_seed(7, 3, 0) == pair_seed(7, 3)
    assert candidate_seed(0, 0, 1) == 3305120867956206962  # as for pair_seed


def test_a_copy_of_a_known_map_is_drawn_again_and_no_other_pair_changes(sampler):
    copy = pair_seed(SEED, 1)
    measures = {"likeness": lambda drawn: 0.95 if drawn.seed == copy else 0.5}
    search = Selection(sampler, SEED, DEFAULT_OPTIONS, {"likeness": (0.0, 0.9)}, measures)
    chosen = [each for batch in search.pairs(range(3)) for each in batch]
    assert [each.pair.seed for each in chosen] == [
        pair_seed(SEED, 0),
        candidate_seed(SEED, 1, 1),
        pair_seed(SEED, 2),
    ]
    assert [each.rejected for each in chosen] == [{}, {"likeness": 1}, {}]
