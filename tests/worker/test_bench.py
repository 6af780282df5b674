"""The benchmark's measures, on a tiny model: that they measure, not what."""

from pathlib import Path

import pytest

from bench.measure import bare_rate, order_of, sample_all, stage_times
from models.package import ModelPackage
from models.sampling import PairSampler, pair_seed


@pytest.fixture
def sampler(package: ModelPackage) -> PairSampler:
    return PairSampler(package, "cpu")


def test_bare_loop_makes_the_pairs_of_an_order(sampler: PairSampler) -> None:
    pairs = sample_all(sampler, 6)
    assert [pair.seed for pair in pairs] == [pair_seed(1, index) for index in range(6)]
    assert bare_rate(sampler, 6) > 0


def test_every_stage_is_measured(
    sampler: PairSampler, package: ModelPackage, tmp_path: Path
) -> None:
    stages = stage_times(sampler, order_of(package, 6), tmp_path)
    assert list(stages) == [
        "stage one, maps",
        "stage two, photographs",
        "encode",
        "hash and write",
        "pack",
    ]
    assert all(milliseconds > 0 for milliseconds in stages.values())
