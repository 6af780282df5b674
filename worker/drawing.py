"""Which pictures an order asks for: its pairs, drawn in batches, or rendered from given maps."""

import io
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from functools import lru_cache, partial
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from app.archive.constraints import limits_of
from app.archive.segment import Entry, PairRecord
from app.storage import Storage
from app.uploads.pictures import NoSuchPicture, read_entry, read_record
from models.likeness import KnownMaps
from models.loading import Sampler
from models.quality import OF_MAPS
from models.sampling import SamplingOptions, pair_seed
from models.selection import Chosen, Selection

MAPS_KEPT = 64  # read maps that are kept: a shard may come to a map again


def draw_pairs(
    sampler: Sampler, order: Mapping[str, Any], indices: range, storage: Storage
) -> Iterator[list[Chosen]]:
    """The order's pairs of these indices, some at a time; none at times, where limits are narrow.

    Raises models.selection.LimitsNotMet; StorageKeyError where given maps are not there.
    """
    options = SamplingOptions(
        style_seed=order.get("style_seed"),
        eye=order.get("eye"),
        lesions=order.get("lesions") or "mixed",
    )
    if order.get("maps"):
        return _render_maps(sampler, order, indices, options, storage)
    of_maps = dict(OF_MAPS)
    if order.get("not_like"):
        of_maps["likeness"] = _known_maps(sampler, order["not_like"], storage).likeness
    return Selection(sampler, order["seed"], options, limits_of(order), of_maps).pairs(indices)


def _known_maps(sampler: Sampler, maps: Mapping[str, Any], storage: Storage) -> KnownMaps:
    """The maps that the order keeps away from, as they would be drawn."""
    read = (_read_map(storage, maps["upload"], number) for number in range(maps["count"]))
    return KnownMaps([sampler.place_map(0, label, mask) for _, label, mask in read])


def _read_map(
    storage: Storage, upload_id: str, number: int
) -> tuple[str, NDArray[np.uint8], NDArray[np.uint8] | None]:
    """Name, label and mask, if it has one, of a map of an upload."""
    record = read_record(storage, upload_id, number)

    def decode(entry: Entry) -> NDArray[np.uint8]:
        png = read_entry(storage, upload_id, entry)
        return np.asarray(Image.open(io.BytesIO(png), formats=["PNG"]))

    mask = None if record.mask is None else decode(record.mask)
    if record.label is None:
        raise NoSuchPicture(f"picture {number} of {upload_id} has no label")
    return record.file, decode(record.label), mask


def _render_maps(
    sampler: Sampler,
    order: Mapping[str, Any],
    indices: range,
    options: SamplingOptions,
    storage: Storage,
) -> Iterator[list[Chosen]]:
    """Pair i photographs map i, from the first again behind the last."""
    maps = order["maps"]
    read = lru_cache(MAPS_KEPT)(partial(_read_map, storage, maps["upload"]))

    for first in range(indices.start, indices.stop, sampler.batch_size):
        batch = range(first, min(first + sampler.batch_size, indices.stop))
        files, placed = [], []
        for index in batch:
            file, label, mask = read(index % maps["count"])
            files.append(file)
            placed.append(sampler.place_map(pair_seed(order["seed"], index), label, mask, options))
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
