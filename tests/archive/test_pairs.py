"""Single pictures, before and after packing."""

import pytest

from app.archive.layout import index_key
from app.archive.pack import discard_segments
from app.archive.pairs import PairNotReady, read_pair
from app.archive.plan import Plan
from app.storage import Storage
from tests.archive.orders import make_archive, order, png, write_shards

PLACES = {"image": 0, "label": 1, "mask": 2}


PLAN = Plan.of(order(5), 2)


def test_from_the_segments(storage: Storage) -> None:
    write_shards(storage, "job", 5, 2)
    for index in range(5):
        for which, place in PLACES.items():
            assert read_pair(storage, "job", PLAN, index, which, None) == png(index, place)


def test_from_the_archive(storage: Storage) -> None:
    archive = make_archive(storage, "job", 5, 2)
    discard_segments(storage, "job", range(3))
    for index in range(5):
        for which, place in PLACES.items():
            assert read_pair(storage, "job", PLAN, index, which, archive.key) == png(index, place)


def test_unwritten_pair(storage: Storage) -> None:
    write_shards(storage, "job", 4, 2)
    storage.delete(index_key("job", 1))
    assert read_pair(storage, "job", PLAN, 1, "image", None) == png(1, 0)
    with pytest.raises(PairNotReady, match="pair 2"):
        read_pair(storage, "job", PLAN, 2, "image", None)
