"""One item of work, from claim to result: what a Celery message makes a worker do."""

import logging
import os
import socket
from collections.abc import Callable
from functools import lru_cache
from typing import Any

import torch

from app.archive.pack import ArchiveError, discard_segments, pack
from app.database import Database, open_database
from app.jobs.leases import Claim, claim_next, complete, fail, finished_shards, release
from app.jobs.tables import ItemKind, Job, Role
from app.registry.manifest import PackageFault
from app.settings import Settings, get_settings
from app.storage import Storage, StorageKeyError, job_prefix, open_storage
from app.uploads.pictures import NoSuchPicture, zip_key
from models.devices import keep_freed_memory
from models.package import PackageError
from models.pairs import PairError
from models.training.checkpoint import CheckpointError
from models.training.transfer import TransferError
from worker.check.upload import check_upload
from worker.engine import run_shard
from worker.heartbeat import Heartbeat, Interrupted
from worker.model_cache import ModelUnavailable, Packages, SamplerCache
from worker.training.trainer import Trainer

logger = logging.getLogger(__name__)

BUG = "The worker ran into an error of its own; its log has the details."


class Worker:
    """What a worker process holds from item to item.

    ``stopping`` tells whether the process has been asked to stop.
    """

    def __init__(
        self,
        settings: Settings,
        db: Database,
        storage: Storage,
        stopping: Callable[[], bool] = lambda: False,
    ) -> None:
        self.id = f"{socket.gethostname()}:{os.getpid()}"
        self._settings = settings
        self._db = db
        self._storage = storage
        self._stopping = stopping
        self._packages = Packages(settings, db, storage)
        self._samplers = SamplerCache(self._packages, settings.device)
        self._trainer = Trainer(settings, db, storage, self._packages)

    def work(self, role: Role = Role.GENERATE) -> bool:
        """Claims the next item of the role and does it. Returns whether there was one.

        What goes wrong with an item is noted in its row; only a database that cannot be reached
        raises, and then the lease runs out by itself.
        """
        if self._stopping():
            return False
        claim = claim_next(self._db, self.id, role.kinds, self._settings.lease_seconds)
        if claim is None:
            return False
        name = f"{claim.kind} {claim.ordinal} of {claim.job_id}"
        try:
            with Heartbeat(
                self._db, claim, self._settings.lease_seconds, self._stopping
            ) as heartbeat:
                result = self._run(claim, heartbeat.report)
        except Interrupted as interruption:
            logger.info("left %s: %s", name, interruption)
            if interruption.release:
                release(self._db, claim)
        except Exception as error:
            code, detail = explain(error)
            logger.exception("failed %s: %s", name, code)
            if not fail(self._db, claim, code, detail):
                self._take_back(claim)
        else:
            if complete(self._db, claim, result):
                logger.info("finished %s", name)
                self._tidy(claim)
            else:
                logger.info("finished %s, but the lease was lost", name)
                self._take_back(claim)
        return True

    def _run(self, claim: Claim, report: Callable[..., None]) -> dict[str, Any]:
        if claim.kind == ItemKind.SLICE:
            return self._trainer.run(claim, report)
        if claim.kind == ItemKind.CHECK:
            return check_upload(claim, self._storage, report)
        model = claim.request["model"]
        if claim.kind == ItemKind.SHARD:
            sampler = self._samplers.get(model, claim.package_digest)
            return run_shard(claim, sampler, self._storage, report)
        package = self._packages.manifest(model, claim.package_digest)
        archive = pack(
            self._storage,
            claim.job_id,
            finished_shards(self._db, claim.job_id),
            claim.shard_pairs,
            claim.request,
            package,
            claim.package_digest,
            report,
        )
        return {
            "archive_key": archive.key,
            "bytes": archive.bytes,
            "manifest_sha256": archive.manifest_sha256,
        }

    def _take_back(self, claim: Claim) -> None:
        """Removes what was written, lease lost, after the one who would have removed it did so."""
        with self._db.read() as session:
            job = session.get_one(Job, claim.job_id)
        try:
            if job.purged_at is not None:
                self._storage.delete_prefix(job_prefix(job.id))
            elif claim.kind == ItemKind.SLICE:
                self._trainer.take_back(claim)
            elif job.archive_key is not None:
                discard_segments(self._storage, job.id, shard_number(claim))
        except OSError:
            logger.exception("could not remove what is left of %s", job.id)

    def _tidy(self, claim: Claim) -> None:
        if claim.kind == ItemKind.PACK:
            try:
                discard_segments(self._storage, claim.job_id, shard_number(claim))
            except OSError:  # they only take room, and go when the job is deleted
                logger.exception("could not remove the segments of %s", claim.job_id)
        elif claim.kind == ItemKind.CHECK:
            try:
                self._storage.delete(zip_key(claim.job_id))
            except OSError:  # likewise
                logger.exception("could not remove the zip of %s", claim.job_id)
        elif claim.kind == ItemKind.SLICE:
            try:
                self._trainer.tidy(claim)
            except OSError:  # likewise
                logger.exception("could not remove old checkpoints of %s", claim.job_id)


def shard_number(claim: Claim) -> int:
    """How many shards the claim's job has."""
    return -(-claim.request["count"] // claim.shard_pairs)


def explain(error: Exception) -> tuple[str, str]:
    """A code for programs and a sentence for people; of a bug, nothing of its inside."""
    match error:
        case ModelUnavailable():
            return error.code, str(error)
        case TransferError() | PairError():
            return "cannot_train", f"The run cannot go on: {error}."
        case PackageError():
            return "model_damaged", "The package of the model that the run starts from is damaged."
        case PackageFault():
            return "package_refused", f"The package that the run made cannot be used: {error}."
        case CheckpointError():
            return "checkpoint_damaged", "The checkpoint of the run cannot be used."
        case ArchiveError() | StorageKeyError() | NoSuchPicture():
            return "parts_missing", f"Parts of it are missing in the storage: {error}."
        case MemoryError() | torch.OutOfMemoryError():
            return "out_of_memory", "The worker has too little memory for this."
        case OSError():
            return "storage_failed", f"Reading or writing failed: {error.strerror or error}."
    return "internal_error", BUG


@lru_cache
def this_worker(stopping: Callable[[], bool]) -> Worker:
    """The worker of this process, opened on first use."""
    keep_freed_memory()
    settings = get_settings()
    return Worker(settings, open_database(settings), open_storage(settings), stopping)
