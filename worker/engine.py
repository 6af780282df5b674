"""The generation engine: makes the pairs of a shard and writes them as they will stand in the zip.

The calling thread draws batch after batch. Behind it a few threads encode the pictures, and one
more hashes and writes them in order, so that drawing waits only if the others fall far behind.
"""

import os
import time
import zlib
from collections import deque
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any

import numpy as np
import scipy

from app.archive.formats import format_name
from app.archive.layout import index_key, segment_key
from app.archive.shard import ShardWriter
from app.jobs.leases import Claim
from app.storage import Storage
from models.sampling import Pair, PairSampler
from worker.drawing import draw_pairs
from worker.jpeg import encode_jpeg, jpeg_environment
from worker.png import encode_map, encode_photograph
from worker.tiff import encode_tiff

ENCODERS = min(8, os.cpu_count() or 1)
BATCHES_AHEAD = 4  # batches that may wait for encoding or writing


@dataclass(frozen=True)
class EncodedPair:
    seed: int
    vessel_share: float
    image: bytes
    label: bytes
    mask: bytes


PHOTOGRAPHS = {"png": encode_photograph, "jpeg": encode_jpeg, "tiff": encode_tiff}


def encode_pair(pair: Pair, image_format: str = "png") -> EncodedPair:
    return EncodedPair(
        pair.seed,
        pair.vessel_share,
        PHOTOGRAPHS[image_format](pair.image),
        encode_map(pair.label),
        encode_map(pair.mask),
    )


def environment_of(sampler: PairSampler, image_format: str = "png") -> dict[str, str]:
    """What the bytes of a pair depend on besides its seed and the package."""
    return {
        **sampler.environment,
        "numpy": np.__version__,
        "scipy": scipy.__version__,
        "zlib": zlib.ZLIB_RUNTIME_VERSION,
        **(jpeg_environment() if image_format == "jpeg" else {}),
    }


def run_shard(
    claim: Claim, sampler: PairSampler, storage: Storage, report: Callable[[int], None]
) -> dict[str, Any]:
    """Makes the claim's pairs and writes segment and index; returns the shard's result.

    ``report`` gets the number of pairs written, between batches, and may raise to stop the work;
    then nothing is left in storage.
    """
    started = time.monotonic()
    environment = environment_of(sampler, format_name(claim.request))
    segment, index = (key(claim.job_id, claim.ordinal) for key in (segment_key, index_key))
    with storage.write(segment) as file, ShardWriter(file, claim.request) as shard:
        _write_pairs(claim, sampler, shard, report)
        records = shard.finish(environment)
    with storage.write(index) as file:
        file.write(records)
    return {
        "segment_key": segment,
        "index_key": index,
        "bytes": shard.size,
        "seconds": time.monotonic() - started,
        "environment": environment,
    }


def _write_pairs(
    claim: Claim,
    sampler: PairSampler,
    shard: ShardWriter,
    report: Callable[[int], None],
) -> None:
    def write(index: int, encoding: Future[EncodedPair]) -> None:
        pair = encoding.result()
        facts = {"seed": pair.seed, "vessel_share": pair.vessel_share}
        shard.add(index, pair.image, pair.label, pair.mask, **facts)

    done = 0
    waiting: deque[Future[None]] = deque()
    image_format = format_name(claim.request)
    most_waiting = BATCHES_AHEAD * sampler.batch_size
    indices = range(claim.first, claim.first + claim.count)
    with ThreadPoolExecutor(ENCODERS) as encoders, ThreadPoolExecutor(1) as writer:
        for batch in draw_pairs(sampler, claim.request, indices):
            for index, pair in batch:
                encoding = encoders.submit(encode_pair, pair, image_format)
                waiting.append(writer.submit(write, index, encoding))
            while waiting and (waiting[0].done() or len(waiting) > most_waiting):
                waiting.popleft().result()
                done += 1
            report(done)
        for future in waiting:
            future.result()
    report(claim.count)
