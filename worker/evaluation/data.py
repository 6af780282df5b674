"""The pairs that an evaluation compares: of an upload, and of a model or a data set."""

import io
from collections.abc import Callable, Iterator

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from app.archive.layout import REQUIRED_ROLES, ImageRole
from app.archive.pairs import PairNotReady, read_pair
from app.database import Database
from app.jobs.leases import Claim
from app.jobs.tables import Job
from app.storage import Storage
from models.evaluation.pair_arrays import (
    EvaluationData,
    PairArrays,
    Planes,
    collect,
    drawn_pairs,
    real_pairs,
    rendered_pairs,
    vessel_shares,
)
from models.pairs import PairError
from worker.model_cache import SamplerCache
from worker.training.pairs import load_upload

Report = Callable[[], None]


class CannotEvaluate(Exception):
    """The evaluation cannot go on, however often it is tried; the message says why."""


class EvaluationCache:
    """Holds what was looked at last: steps of one evaluation come one after another."""

    def __init__(self, db: Database, storage: Storage, samplers: SamplerCache) -> None:
        self._db = db
        self._storage = storage
        self._samplers = samplers
        self._job_id: str | None = None
        self._data: EvaluationData | None = None

    def get(self, claim: Claim, report: Report) -> EvaluationData:
        """The pairs of the claim's evaluation. ``report`` is called between parts, and may raise to
        stop the work.

        Raises:
            CannotEvaluate: some cannot be used.
            NoSuchPicture: the upload has not so many pairs.
            ModelUnavailable: the model cannot be used here.
        """
        if self._data is None or self._job_id != claim.job_id:
            self.drop()  # frees its memory before the next one takes its own
            try:
                self._data = self._load(claim, report)
            except (PairError, PairNotReady) as error:
                raise CannotEvaluate(str(error)) from error
            self._job_id = claim.job_id
        return self._data

    def drop(self) -> None:
        """Let go of what is held."""
        self._data = self._job_id = None

    def _load(self, claim: Claim, report: Report) -> EvaluationData:
        request = claim.request
        size, count, seed = request["resolution"], request["pairs"], request["seed"]
        # Twice the size, as training takes it.
        upload = load_upload(self._storage, request["upload"], claim.pairs, 2 * size)
        real = real_pairs(upload, size)
        train, test = (
            real.take([pair["number"] for pair in request[side]]) for side in ("train", "hold_out")
        )
        report()
        sampler = None
        if claim.package_digest:
            sampler = self._samplers.get(request["model"], claim.package_digest, size)
        if request["dataset"] is not None:
            synthetic = self._ordered(request["dataset"], count, report)
        else:
            assert sampler is not None
            synthetic = drawn_pairs(sampler, count, seed, report)
        rendered = None
        if sampler is not None:
            ours = [pair["number"] for pair in request["train"]]
            shares = vessel_shares(upload, size)[ours]
            rendered = rendered_pairs(sampler, shares, train.fields, count, seed, report)
        return EvaluationData(train, test, synthetic, rendered)

    def _ordered(self, dataset_id: str, count: int, report: Report) -> PairArrays:
        """The first pairs of a data set, whatever its layout is."""
        with self._db.read() as session:
            job = session.get_one(Job, dataset_id)

        def read(index: int, role: ImageRole) -> NDArray[np.uint8]:
            volume = job.volume_with(index)
            key = volume["key"] if volume else None
            data = read_pair(self._storage, job.id, job.plan, index, role, key)
            with Image.open(io.BytesIO(data)) as picture:
                return np.asarray(picture)

        def planes() -> Iterator[Planes]:
            for index in range(count):
                report()
                photo, label, mask = (read(index, role) for role in REQUIRED_ROLES)
                yield photo, label, mask

        return collect([f"{index:06d}" for index in range(count)], planes())
