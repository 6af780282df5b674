"""The generation engine: makes the pairs of a shard and writes them as they will stand in the zip.

The calling thread draws batch after batch. Behind it a few threads encode the pictures, and one
more hashes and writes them in order, so that drawing waits only if the others fall far behind.
"""

import os
import time
import zlib
from collections import deque
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from threading import Lock
from typing import Any

import numpy as np
import scipy

from app.archive.layout import index_key, pair_names, segment_key
from app.archive.segment import PairRecord, SegmentWriter, dump_index
from app.jobs.leases import Claim
from app.storage import Storage
from models.sampling import Pair, PairSampler
from models.selection import Chosen
from worker.drawing import count_rejected, draw_pairs
from worker.png import encode_map, encode_photograph

ENCODERS = min(8, os.cpu_count() or 1)
BATCHES_AHEAD = 4  # batches that may wait for encoding or writing


@dataclass(frozen=True)
class EncodedPair:
    seed: int
    vessel_share: float
    image: bytes
    label: bytes
    mask: bytes


def encode_pair(pair: Pair) -> EncodedPair:
    return EncodedPair(
        pair.seed,
        pair.vessel_share,
        encode_photograph(pair.image),
        encode_map(pair.label),
        encode_map(pair.mask),
    )


def environment_of(sampler: PairSampler) -> dict[str, str]:
    """What the bytes of a pair depend on besides its seed and the package."""
    return {
        **sampler.environment,
        "numpy": np.__version__,
        "scipy": scipy.__version__,
        "zlib": zlib.ZLIB_RUNTIME_VERSION,
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

    @property
    def seconds(self) -> dict[str, float]:
        """What each stage would have taken alone: the encoders share their work."""
        return self._seconds | {"encode": self._seconds["encode"] / ENCODERS}


def run_shard(
    claim: Claim, sampler: PairSampler, storage: Storage, report: Callable[[int], None]
) -> dict[str, Any]:
    """Makes the claim's pairs and writes segment and index; returns the shard's result.

    ``report`` gets the number of pairs written, between batches, and may raise to stop the work;
    then nothing is left in storage.
    """
    started, environment, clock = time.monotonic(), environment_of(sampler), StageClock()
    segment, index = (key(claim.job_id, claim.ordinal) for key in (segment_key, index_key))
    with storage.write(segment) as file:
        writer = SegmentWriter(file)
        records = _write_pairs(claim, sampler, writer, clock, report)
        report(len(records))
        written = time.monotonic()
    with storage.write(index) as file:
        file.write(dump_index(environment, records))
    ended = time.monotonic()
    clock.add("upload", ended - written)
    return {
        "segment_key": segment,
        "index_key": index,
        "bytes": writer.size,
        "seconds": ended - started,
        "stage_seconds": clock.seconds,
        "environment": environment,
        **count_rejected(claim.request, records),
    }


def _write_pairs(
    claim: Claim,
    sampler: PairSampler,
    segment: SegmentWriter,
    clock: StageClock,
    report: Callable[[int], None],
) -> list[PairRecord]:
    def encode(pair: Pair) -> EncodedPair:
        with clock.at("encode"):
            return encode_pair(pair)

    def write(chosen: Chosen, encoding: Future[EncodedPair]) -> PairRecord:
        pair = encoding.result()
        names = pair_names(chosen.index, claim.request)
        with clock.at("upload"):
            image, label, mask = map(segment.add, names, (pair.image, pair.label, pair.mask))
        return PairRecord(
            chosen.index,
            pair.seed,
            pair.vessel_share,
            image,
            label,
            mask,
            quality=chosen.quality,
            rejected=chosen.rejected,
        )

    records: list[PairRecord] = []
    waiting: deque[Future[PairRecord]] = deque()
    most_waiting = BATCHES_AHEAD * sampler.batch_size
    draws = draw_pairs(sampler, claim.request, range(claim.first, claim.first + claim.count))
    with ThreadPoolExecutor(ENCODERS) as encoders, ThreadPoolExecutor(1) as writer:
        while True:
            with clock.at("generate"):
                batch = next(draws, None)
            if batch is None:
                break
            for chosen in batch:
                encoding = encoders.submit(encode, chosen.pair)
                waiting.append(writer.submit(write, chosen, encoding))
            while waiting and (waiting[0].done() or len(waiting) > most_waiting):
                records.append(waiting.popleft().result())
            report(len(records))
        records.extend(future.result() for future in waiting)
    return records
