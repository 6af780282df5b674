"""Which pictures an order asks for: its pairs, drawn in batches, or rendered from given maps."""

import io
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from functools import lru_cache
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from app.archive.knobs import limits_of
from app.archive.segment import Entry, PairRecord
from app.storage import Storage
from app.uploads.pictures import read_entry, read_record
from models.sampling import PairSampler, Wish, pair_seed
from models.selection import Chosen, Selection

MAPS_KEPT = 64  # read maps that are kept: a shard may come to a map again


def draw_pairs(
    sampler: PairSampler, order: Mapping[str, Any], indices: range, storage: Storage
) -> Iterator[list[Chosen]]:
    """The order's pairs of these indices, some at a time; none at times, where limits are narrow.

    Raises models.selection.LimitsNotMet; StorageKeyError where given maps are not there.
    """
    wish = Wish(style_seed=order.get("style_seed"), eye=order.get("eye"))
    if order.get("maps"):
        return _render_maps(sampler, order, indices, wish, storage)
    return Selection(sampler, order["seed"], wish, limits_of(order)).pairs(indices)


def _render_maps(
    sampler: PairSampler, order: Mapping[str, Any], indices: range, wish: Wish, storage: Storage
) -> Iterator[list[Chosen]]:
    """Pair i photographs map i, from the first again behind the last."""
    maps = order["maps"]

    def decode(entry: Entry) -> NDArray[np.uint8]:
        png = read_entry(storage, maps["upload"], entry)
        return np.asarray(Image.open(io.BytesIO(png), formats=["PNG"]))

    @lru_cache(MAPS_KEPT)
    def read(number: int) -> tuple[str, NDArray[np.uint8], NDArray[np.uint8] | None]:
        record = read_record(storage, maps["upload"], number)
        mask = None if record.mask is None else decode(record.mask)
        return record.file, decode(record.label), mask

    for first in range(indices.start, indices.stop, sampler.batch_size):
        batch = range(first, min(first + sampler.batch_size, indices.stop))
        files, placed = [], []
        for index in batch:
            file, label, mask = read(index % maps["count"])
            files.append(file)
            placed.append(sampler.place_map(pair_seed(order["seed"], index), label, mask, wish))
        pairs = sampler.render(placed)
        yield [
            Chosen(index, pair, map=file)
            for index, pair, file in zip(batch, pairs, files, strict=True)
        ]


def count_rejected(order: Mapping[str, Any], records: Iterable[PairRecord]) -> dict[str, Any]:
    """What a shard's result says of the candidates turned away: nothing without limits."""
    limits = limits_of(order)
    if not limits:
        return {}
    total: Counter[str] = Counter()
    for record in records:
        total.update(record.rejected or {})
    return {"rejected": {measure: total[measure] for measure in limits}}
