"""The plan of an order: every pair in one shard, every shard in one volume."""

from itertools import product

import pytest

from app.archive.layout import TAR_PAIRS
from app.archive.plan import Plan, largest_volume
from tests.archive.orders import order


@pytest.mark.parametrize(
    ("count", "shard_pairs", "volume_pairs"),
    [*product([1, 7, 12, 13], [1, 3, 5, 20], [1, 4, 6, 99])],
)
def test_shards_and_volumes_share_out_the_pairs(
    count: int, shard_pairs: int, volume_pairs: int
) -> None:
    plan = Plan(count, shard_pairs, volume_pairs)
    shards = [plan.pairs_of_shard(shard) for shard in range(plan.shards)]
    assert [index for pairs in shards for index in pairs] == list(range(count))
    assert all(0 < len(pairs) <= shard_pairs for pairs in shards)
    found = []
    for volume in range(1, plan.volumes + 1):
        pairs = [index for shard in plan.shards_of_volume(volume) for index in shards[shard]]
        assert pairs == list(plan.pairs_of_volume(volume))
        assert 0 < len(pairs) <= volume_pairs
        for shard in plan.shards_of_volume(volume):
            found += [(index, (volume, shard)) for index in shards[shard]]
    assert found == [(index, plan.find(index)) for index in range(count)]


def test_tars_are_not_cut() -> None:
    plan = Plan.of(order(2_000, layout="webdataset", volume_pairs=4 * TAR_PAIRS), 300)
    assert [plan.pairs_of_shard(shard).start for shard in range(plan.shards)] == [
        0, 512, 1024, 1536,
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("resolution", "pairs"), [(64, 100_000), (256, 100_000), (512, 25_000), (1024, 6_250)]
)
def test_a_volume_holds_so_many_pixels(resolution: int, pairs: int) -> None:
    assert largest_volume(resolution) == pairs
