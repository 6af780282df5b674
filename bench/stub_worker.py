"""A worker whose device is a stub: ``celery -A bench.stub_worker worker``, for :mod:`bench.scale`.

All of it is the real worker but for the networks: in their place it waits BENCH_BATCH_SECONDS for each
batch of BENCH_BATCH pairs, as for a device that is busy elsewhere, and gives the same small pictures.
After each item it writes what it has measured of itself to BENCH_FOLDER.
"""

import json
import os
import threading
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch

import worker.item
from app.database import Database, open_database
from app.settings import Settings
from models.sampling import DEFAULT_OPTIONS, Pair, SamplingOptions, VesselMap
from worker.celery_app import celery as celery  # what the command line looks for

SIDE = 64  # pixels
ROUND_TRIPS = ("connect", "do_ping", "do_execute", "do_executemany", "do_commit", "do_rollback")


class StubSampler:
    """Stands in for :class:`models.sampling.PairSampler`."""

    traces = False

    def __init__(self) -> None:
        self.environment = {"device": "stub"}
        self.batch_size = int(os.environ["BENCH_BATCH"])
        self._seconds = float(os.environ["BENCH_BATCH_SECONDS"])
        y, x = np.mgrid[:SIDE, :SIDE]
        self._field = (np.hypot(x - SIDE / 2, y - SIDE / 2) < SIDE / 2).astype(np.uint8)
        self._label = (((x + y) % 8 == 0) * self._field).astype(np.uint8)
        light = (180 - x + np.random.default_rng(0).normal(0, 4, (SIDE, SIDE))) * self._field
        self._image = np.repeat(light[..., None], 3, axis=2).astype(np.uint8)

    def draw_maps(
        self, seeds: Sequence[int], options: SamplingOptions = DEFAULT_OPTIONS
    ) -> list[VesselMap]:
        shares = self._label.astype(np.float32)
        return [VesselMap(seed, self._label, self._field, torch.empty(0), shares) for seed in seeds]

    def render(self, maps: Sequence[VesselMap]) -> list[Pair]:
        time.sleep(self._seconds)
        return [
            Pair(each.seed, self._image, each.label * 255, each.field * 255, each.vessel_share)
            for each in maps
        ]


class StubSamplers:
    """Stands in for :class:`worker.model_cache.SamplerCache`."""

    def __init__(self, packages: Any, device: str) -> None:
        self._sampler = StubSampler()

    def get(self, model: str, digest: str, resolution: int) -> StubSampler:
        return self._sampler


class Meter:
    """Seconds that the thread which works, and the heartbeats beside it, wait for the database; and
    seconds of the processor, all told."""

    def __init__(self) -> None:
        self.figures = {"waiting": 0.0, "beside": 0.0, "round_trips": 0, "cpu": 0.0}

    def open_database(self, settings: Settings) -> Database:
        db = open_database(settings)
        for name in ROUND_TRIPS:
            setattr(db.engine.dialect, name, self._timed(getattr(db.engine.dialect, name)))
        return db

    def _timed(self, function: Callable[..., Any]) -> Callable[..., Any]:
        def run(*arguments: Any, **named: Any) -> Any:
            started = time.perf_counter()
            try:
                return function(*arguments, **named)
            finally:
                works = threading.current_thread() is threading.main_thread()
                self.figures["waiting" if works else "beside"] += time.perf_counter() - started
                self.figures["round_trips"] += 1

        return run

    def work(self, *arguments: Any) -> bool:
        done = work(*arguments)
        self.figures["cpu"] = time.process_time()
        part = Path(os.environ["BENCH_FOLDER"]) / f"{os.getpid()}.part"
        part.write_text(json.dumps(self.figures))
        part.replace(part.with_suffix(".json"))
        return done


meter, work = Meter(), worker.item.Worker.work
worker.item.SamplerCache = StubSamplers  # type: ignore[misc, assignment]
worker.item.open_database = meter.open_database
worker.item.Worker.work = lambda *arguments: meter.work(*arguments)  # type: ignore[method-assign]
