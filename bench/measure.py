"""What is measured: the bare sampling loop, the service, and the stages that a pair goes through."""

import time
from collections.abc import Callable, Sequence
from datetime import datetime
from pathlib import Path
from typing import Any

from app.archive.layout import index_key, segment_key
from app.archive.pack import pack
from app.archive.shard import ShardWriter
from app.client import Client
from app.storage.folder import FolderStorage
from models.loading import Package, Sampler
from models.sampling import Pair, pair_seed
from worker.engine import encode_pair

SEED = 1

Order = dict[str, Any]


def order_of(package: Package, count: int) -> Order:
    return {
        "count": count,
        "resolution": package.resolution,
        "model": f"{package.name}@{package.version}",
        "seed": SEED,
    }


def sample_all(sampler: Sampler, count: int) -> list[Pair]:
    """The bare loop: an order's pairs, batch after batch, and nothing else."""
    seeds = [pair_seed(SEED, index) for index in range(count)]
    batches = range(0, count, sampler.batch_size)
    return [
        pair
        for first in batches
        for pair in sampler.sample(seeds[first : first + sampler.batch_size])
    ]


def bare_rate(sampler: Sampler, count: int) -> float:
    """Pairs a second of the bare loop."""
    started = time.perf_counter()
    sample_all(sampler, count)
    return count / (time.perf_counter() - started)


def service_rate(client: Client, order: Order) -> float:
    """Pairs a second of an order, from its acceptance to the finished archive.

    Raises JobFailedError if the order does not succeed.
    """
    job = client.datasets.order(**order).wait(poll_seconds=1)
    begin, end = (
        datetime.fromisoformat(job["timestamps"][state]) for state in ("queued", "succeeded")
    )
    return order["count"] / (end - begin).total_seconds()


def stage_times(sampler: Sampler, order: Order, folder: Path) -> dict[str, float]:
    """Milliseconds a pair of each stage, one after another; ``folder`` takes what is written.

    Encoding is that of one thread; in the service it overlaps with drawing, as does writing. The
    sampler's two stages are wrapped for good.
    """
    count = order["count"]
    clock = _Clock()
    for name, stage in (("draw_maps", "stage one, maps"), ("render", "stage two, photographs")):
        setattr(sampler, name, clock.timed(stage, getattr(sampler, name)))
    pairs = sample_all(sampler, count)
    encoded = list(map(clock.timed("encode", encode_pair), pairs))

    storage = FolderStorage(folder)
    clock.timed("hash and write", _write_segment)(storage, encoded, sampler.environment)
    manifest, digest = sampler.package.manifest, sampler.package.digest
    clock.timed("pack", pack)(storage, "bench", [0], count, order, manifest, digest)
    return {stage: 1000 * seconds / count for stage, seconds in clock.seconds.items()}


def _write_segment(
    storage: FolderStorage, pairs: Sequence[Any], environment: dict[str, str]
) -> None:
    with storage.write(segment_key("bench", 0)) as file:
        shard = ShardWriter(file, {"count": len(pairs)})
        for index, pair in enumerate(pairs):
            facts = {"seed": pair.seed, "vessel_share": pair.vessel_share}
            shard.add(index, *pair.images, **facts)
        records = shard.finish(environment)
    with storage.write(index_key("bench", 0)) as file:
        file.write(records)


class _Clock:
    """Adds up the seconds spent in functions, by stage."""

    def __init__(self) -> None:
        self.seconds: dict[str, float] = {}

    def timed(self, stage: str, function: Callable[..., Any]) -> Callable[..., Any]:
        def run(*arguments: Any) -> Any:
            started = time.perf_counter()
            result = function(*arguments)
            self.seconds[stage] = self.seconds.get(stage, 0) + time.perf_counter() - started
            return result

        return run
