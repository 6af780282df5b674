"""Slices from claim to result: training, then the package, then its place among the models."""

import io
import time
from pathlib import Path
from typing import Any

from app.database import Database
from app.jobs.leases import Claim
from app.jobs.runs import newest_slices, slice_prefix, slices, slices_prefix, used_keys
from app.jobs.tables import Job
from app.registry.package_zip import write_zip
from app.registry.service import Registry
from app.registry.stored import VersionTakenError, add_package, next_version
from app.settings import Settings
from app.storage import Storage
from models.package import load_package
from models.training.loop import checkpoint_path
from models.training.packaging import Identity, package_run
from worker.devices import choose_device
from worker.model_cache import Packages
from worker.training.pairs import PairCache
from worker.training.slice import Report, SliceTraining
from worker.training.stages import Result, Stages, open_stages, unspent_stages

NOTHING_NEW: dict[str, Any] = {
    "images": 0,
    "metrics": None,
    "sheets": [],
    "events": [],
    "error": None,
}


class Trainer:
    """What a worker process holds from slice to slice."""

    def __init__(
        self, settings: Settings, db: Database, storage: Storage, packages: Packages
    ) -> None:
        self._settings = settings
        self._db = db
        self._storage = storage
        self._packages = packages
        self._registry = Registry(settings.models_dir)
        self._pairs = PairCache(storage)

    def run(self, claim: Claim, report: Report) -> Result:
        """Does the claim's slice; returns its result (see :mod:`app.jobs.runs`).

        ``report`` gets the number of images and where the training stands.

        Raises:
            Interrupted: the slice is to be left without a result.
        """
        started = time.monotonic()
        with self._db.read() as session:
            newest = newest_slices(session, [claim.job_id]).get(claim.job_id)
        unspent = unspent_stages(claim.request, newest)
        if newest and newest["package"] and not unspent:
            result = newest | NOTHING_NEW | self._register(claim, newest["package"])
        else:
            result = self._train_or_package(claim, newest, unspent, report)
        return result | {"seconds": time.monotonic() - started}

    def tidy(self, claim: Claim) -> None:
        """Remove what no longer counts of this slice and those before it.

        A worker may be busy with the next one already.
        """
        with self._db.read() as session:
            used = used_keys(slices(session, claim.job_id))
        prefix = slices_prefix(claim.job_id)
        for key in self._storage.list(prefix):
            ordinal = int(key.removeprefix(prefix).partition("-")[0])
            if ordinal <= claim.ordinal and key not in used:
                self._storage.delete(key)

    def take_back(self, claim: Claim) -> None:
        """Remove all that this attempt has written: it does not count."""
        self._storage.delete_prefix(slice_prefix(claim.job_id, claim.ordinal, claim.attempt))

    def _train_or_package(
        self, claim: Claim, newest: Result | None, unspent: list[str], report: Report
    ) -> Result:
        request = claim.request
        pairs = self._pairs.get(request["upload"], claim.pairs, 2 * request["resolution"])
        package = None
        if request["from"] is not None:
            package = load_package(self._packages.folder(request["from"], claim.package_digest))
        device = choose_device(self._settings.device)
        prefix = slice_prefix(claim.job_id, claim.ordinal, claim.attempt)
        with open_stages(claim, newest, pairs, package, device, self._storage) as stages:
            if newest and not unspent:
                report(0, None)
                return newest | NOTHING_NEW | self._package(claim, stages, prefix, report)
            training = SliceTraining(stages, newest, self._storage, prefix, report)
            result = training.train(unspent, self._settings.slice_seconds)
            settings, environment = stages.settings, device.environment
        return result | {
            "settings": settings,
            "environment": environment,
            "package": None,
            "model": None,
        }

    def _package(self, claim: Claim, stages: Stages, prefix: str, report: Report) -> Result:
        """Make the package; its version is the next one of its name, unless another is faster."""
        for run in stages:
            checkpoint = checkpoint_path(stages.folder, run.stage)
            if checkpoint.exists():
                run.load(checkpoint)
        name = claim.request["name"]
        with self._db.read() as session:
            version = next_version(session, self._registry, name)
        folder: Path = stages.folder / name
        identity = Identity(name, version, claim.request["data"])
        package_run(stages.one, stages.two, stages.pairs, identity, folder)
        report(0, None)
        key = f"{prefix}package.zip"
        with self._storage.write(key) as file:
            write_zip(folder, file)
        return {"package": key, "model": None}

    def _register(self, claim: Claim, key: str) -> Result:
        """List the package among the models. It is the same one each time that this is tried."""
        with self._db.read() as session:
            owner = session.get_one(Job, claim.job_id).owner
        package = io.BytesIO(self._storage.read(key))
        try:
            model = add_package(self._db, self._storage, self._registry, package, owner)
        except VersionTakenError:
            return {"package": None, "model": None}  # to be made anew, with another version
        return {"model": model.id}
