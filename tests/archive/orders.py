"""Small orders written to a real storage folder, without networks."""

import io
import random
from collections.abc import Callable, Mapping
from typing import Any

from PIL import Image

from app.archive.layout import image_roles, index_key, segment_key
from app.archive.pack import PackedArchive, pack
from app.archive.plan import Plan
from app.archive.shard import ShardWriter
from app.storage import Storage

LESIONS = 4
ENVIRONMENT = {"torch": "2.13.0", "device": "cpu", "precision": "float32"}
PACKAGE = {
    "name": "tiny-8",
    "version": "1.0.0",
    "licence": "CC-BY-4.0",
    "training_data": {
        "name": "CHASE_DB1",
        "licence": "CC-BY-4.0",
        "attribution": "By its authors.",
        "url": "https://example.org/chase",
    },
}
DIGEST = "d1" * 32


def order(count: int, **options: Any) -> dict[str, Any]:
    return {"count": count, "resolution": 8, "model": "tiny-8@1.0.0", "seed": 5, **options}


def png(index: int, which: int) -> bytes:
    return picture_of(index, which)


def picture_of(index: int, which: int, image_format: str = "png") -> bytes:
    """An image of a pair, noise; ``which`` is its place among the roles, and lesions are 0, 1 or 2."""
    noise = random.Random(5 * index + which)
    mode, channels = ("RGB", 3) if which == 0 else ("L", 1)
    pixels = noise.randbytes(64 * channels)
    if which == LESIONS:
        pixels = bytes(value % 3 for value in pixels)
    file = io.BytesIO()
    Image.frombytes(mode, (8, 8), pixels).save(file, image_format if which == 0 else "png")
    return file.getvalue()


def write_shard(
    storage: Storage,
    job_id: str,
    ordinal: int,
    pairs: range,
    order: Mapping[str, Any],
    picture: Callable[[int, int], bytes] = png,
) -> None:
    with storage.write(segment_key(job_id, ordinal)) as file:
        shard = ShardWriter(file, order)
        for index in pairs:
            facts = {"seed": 2**62 + index, "vessel_share": index / order["count"]}
            images = (picture(index, place) for place in range(len(image_roles(order))))
            shard.add(index, *images, **facts)
        records = shard.finish(ENVIRONMENT)
    with storage.write(index_key(job_id, ordinal)) as file:
        file.write(records)


def write_shards(
    storage: Storage,
    job_id: str,
    count: int,
    shard_pairs: int,
    picture: Callable[[int, int], bytes] = png,
    **options: Any,
) -> int:
    """Writes all shards of an order; returns their number."""
    asked = order(count, **options)
    plan = Plan.of(asked, shard_pairs)
    for ordinal in range(plan.shards):
        write_shard(storage, job_id, ordinal, plan.pairs_of_shard(ordinal), asked, picture)
    return plan.shards


def make_archive(
    storage: Storage,
    job_id: str,
    count: int,
    shard_pairs: int,
    picture: Callable[[int, int], bytes] = png,
    **options: Any,
) -> PackedArchive:
    (archive,) = make_volumes(storage, job_id, count, shard_pairs, picture, **options)
    return archive


def make_volumes(
    storage: Storage,
    job_id: str,
    count: int,
    shard_pairs: int,
    picture: Callable[[int, int], bytes] = png,
    **options: Any,
) -> list[PackedArchive]:
    shards = write_shards(storage, job_id, count, shard_pairs, picture, **options)
    asked = order(count, **options)
    whole = (storage, job_id, range(shards), shard_pairs, asked, PACKAGE, DIGEST)
    volumes = range(1, Plan.of(asked, shard_pairs).volumes + 1)
    return [pack(*whole, volume=volume) for volume in volumes]
