"""The generation engine: makes the pairs of a shard and writes them as they will stand in the zip.

The calling thread draws batch after batch. Behind it a few threads encode the pictures, and one
more hashes and writes them in order, so that drawing waits only if the others fall far behind.
"""

import os
import time
import zlib
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from threading import Lock
from typing import Any

import numpy as np
import scipy

from app.archive.formats import format_name
from app.archive.layout import REQUIRED_ROLES, ImageRole, image_roles, index_key, segment_key
from app.archive.shard import ShardWriter
from app.jobs.leases import Claim
from app.storage import Storage
from models.loading import Sampler
from models.sampling import Pair
from models.selection import Chosen
from worker.drawing import count_rejected, draw_pairs
from worker.metrics import PAIRS, STAGE_SECONDS
from worker.photograph_formats import encode_jpeg, encode_tiff, environment_of_format
from worker.png import encode_map, encode_photograph

ENCODERS = min(8, os.cpu_count() or 1)
BATCHES_AHEAD = 4  # batches that may wait for encoding or writing


@dataclass(frozen=True)
class EncodedPair:
    seed: int
    vessel_share: float
    images: tuple[bytes, ...]  # files, in the order of the roles


PHOTOGRAPHS = {"png": encode_photograph, "jpeg": encode_jpeg, "tiff": encode_tiff}


def encode_pair(
    pair: Pair, image_format: str = "png", roles: Sequence[ImageRole] = REQUIRED_ROLES
) -> EncodedPair:
    """The files of these images of the pair; photographs are in the image format, the others PNG.

    Raises:
        ValueError: if the pair lacks one of them.
    """

    def encode(role: ImageRole) -> bytes:
        pixels = getattr(pair, role)
        if pixels is None:
            raise ValueError(f"the sampler has drawn no {role} of pair {pair.seed}")
        return PHOTOGRAPHS[image_format](pixels) if role == "image" else encode_map(pixels)

    return EncodedPair(pair.seed, pair.vessel_share, tuple(map(encode, roles)))


def environment_of(sampler: Sampler, image_format: str = "png") -> dict[str, str]:
    """What the bytes of a pair depend on besides its seed and the package."""
    return {
        **sampler.environment,
        "numpy": np.__version__,
        "scipy": scipy.__version__,
        "zlib": zlib.ZLIB_RUNTIME_VERSION,
        **environment_of_format(image_format),
    }


class StageClock:
    """Adds up how long each stage was at work. The stages' threads share it."""

    def __init__(self) -> None:
        self._lock = Lock()
        self._seconds = {"generate": 0.0, "encode": 0.0, "upload": 0.0}

    @contextmanager
    def at(self, stage: str) -> Iterator[None]:
        started = time.monotonic()
        yield
        self.add(stage, time.monotonic() - started)

    def add(self, stage: str, seconds: float) -> None:
        with self._lock:
            self._seconds[stage] += seconds
        STAGE_SECONDS.labels(stage).inc(seconds)

    @property
    def seconds(self) -> dict[str, float]:
        """What each stage would have taken alone: the encoders share their work."""
        return self._seconds | {"encode": self._seconds["encode"] / ENCODERS}


def run_shard(
    claim: Claim, sampler: Sampler, storage: Storage, report: Callable[[int], None]
) -> dict[str, Any]:
    """Makes the claim's pairs and writes segment and index; returns the shard's result.

    ``report`` gets the number of pairs written, between batches, and may raise to stop the work;
    then nothing is left in storage.
    """
    started, clock = time.monotonic(), StageClock()
    environment = environment_of(sampler, format_name(claim.request))
    segment, index = (key(claim.job_id, claim.ordinal) for key in (segment_key, index_key))
    with storage.write(segment) as file, ShardWriter(file, claim.request) as shard:
        _write_pairs(claim, sampler, storage, shard, clock, report)
        written = time.monotonic()
        records = shard.finish(environment)
    with storage.write(index) as file:
        file.write(records)
    ended = time.monotonic()
    clock.add("upload", ended - written)
    return {
        "segment_key": segment,
        "index_key": index,
        "bytes": shard.size,
        "seconds": ended - started,
        "stage_seconds": clock.seconds,
        "environment": environment,
        **count_rejected(claim.request, shard.records),
    }


def _write_pairs(
    claim: Claim,
    sampler: Sampler,
    storage: Storage,
    shard: ShardWriter,
    clock: StageClock,
    report: Callable[[int], None],
) -> None:
    image_format, roles = format_name(claim.request), image_roles(claim.request)

    def encode(pair: Pair) -> EncodedPair:
        with clock.at("encode"):
            return encode_pair(pair, image_format, roles)

    def write(chosen: Chosen, encoding: Future[EncodedPair]) -> None:
        pair = encoding.result()
        facts = {
            "seed": pair.seed,
            "vessel_share": pair.vessel_share,
            "quality": chosen.quality,
            "rejected": chosen.rejected,
            "map": chosen.map,
        }
        with clock.at("upload"):
            shard.add(chosen.index, *pair.images, **facts)

    done = 0
    waiting: deque[Future[None]] = deque()
    most_waiting = BATCHES_AHEAD * sampler.batch_size
    indices = range(claim.first, claim.first + claim.count)
    draws = draw_pairs(sampler, claim.request, indices, storage)
    with ThreadPoolExecutor(ENCODERS) as encoders, ThreadPoolExecutor(1) as writer:
        while True:
            with clock.at("generate"):
                batch = next(draws, None)
            if batch is None:
                break
            PAIRS.inc(len(batch))
            for chosen in batch:
                encoding = encoders.submit(encode, chosen.pair)
                waiting.append(writer.submit(write, chosen, encoding))
            while waiting and (waiting[0].done() or len(waiting) > most_waiting):
                waiting.popleft().result()
                done += 1
            report(done)
        for future in waiting:
            future.result()
    report(claim.count)
