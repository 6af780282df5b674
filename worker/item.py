"""One item of work, from claim to result: what a Celery message makes a worker do."""

import logging
import os
import socket
import time
from collections.abc import Callable
from dataclasses import asdict
from functools import lru_cache
from typing import Any

from app.archive.pack import discard_segments, lost_shards, pack
from app.database import Database, open_database
from app.jobs.leases import Claim, claim_next, complete, fail, finished_shards, make_again, release
from app.jobs.tables import ItemKind, Job, Role
from app.observability.context import logged_with
from app.observability.tracing import Note, item_span, start_tracing
from app.settings import Settings, get_settings
from app.storage import Storage, StorageKeyError, job_prefix, open_storage
from app.uploads.pictures import zip_key
from models.devices import keep_freed_memory
from worker.check.upload import check_upload
from worker.devices import note_device_memory
from worker.engine import run_shard
from worker.evaluation.evaluator import Evaluator
from worker.failures import explain
from worker.heartbeat import Heartbeat, Interrupted
from worker.metrics import FAILED, FINISHED, ITEM_SECONDS, ITEMS, LEFT, LOST
from worker.model_cache import Packages, SamplerCache
from worker.training.trainer import Trainer

logger = logging.getLogger(__name__)


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
        self._evaluator = Evaluator(settings, db, storage, self._packages, self._samplers)

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
        started = time.monotonic()
        ids: dict[str, Any] = {"job_id": claim.job_id, "item_id": claim.item_id}
        if claim.request_id is not None:
            ids["request_id"] = claim.request_id
        with (
            logged_with(**ids),
            item_span(claim.kind, claim.traceparent, attempt=claim.attempt, **ids) as note,
        ):
            outcome = self._work_on(claim, note)
            note({"outcome": outcome})
        ITEMS.labels(claim.kind, outcome).inc()
        ITEM_SECONDS.labels(claim.kind).inc(time.monotonic() - started)
        note_device_memory(self._settings.device)
        return True

    def _work_on(self, claim: Claim, note: Note) -> str:
        """Does the claimed item; how that ended. ``note`` gets the seconds of the stages."""
        name = f"{claim.kind} {claim.ordinal} of {claim.job_id}"
        try:
            with Heartbeat(
                self._db, claim, self._settings.lease_seconds, self._stopping
            ) as heartbeat:
                result = self._run(claim, heartbeat.report)
            stages = result.get("stage_seconds", {})
            note({f"seconds.{stage}": seconds for stage, seconds in stages.items()})
        except Interrupted as interruption:
            logger.info("left %s: %s", name, interruption)
            if not interruption.release:
                return LOST
            release(self._db, claim)
            return LEFT
        except Exception as error:
            failure = explain(error)
            logger.exception("failed %s: %s", name, failure.code)
            if fail(self._db, claim, failure.code, failure.detail, final=failure.final):
                return FAILED
            self._take_back(claim)
            return LOST
        if complete(self._db, claim, result):
            logger.info("finished %s", name)
            self._tidy(claim)
            return FINISHED
        logger.info("finished %s, but the lease was lost", name)
        self._take_back(claim)
        return LOST

    def _run(self, claim: Claim, report: Callable[..., None]) -> dict[str, Any]:
        if claim.kind == ItemKind.SLICE:
            return self._trainer.run(claim, report)
        if claim.kind == ItemKind.STEP:
            return self._evaluator.take_step(claim, report)
        if claim.kind == ItemKind.REPORT:
            return self._evaluator.write_report(claim, report)
        if claim.kind == ItemKind.CHECK:
            return check_upload(claim, self._storage, report)
        model = claim.request["model"]
        if claim.kind == ItemKind.SHARD:
            resolution = claim.request["resolution"]
            sampler = self._samplers.get(model, claim.package_digest, resolution)
            return run_shard(claim, sampler, self._storage, report)
        package = self._packages.manifest(model, claim.package_digest)
        finished = finished_shards(self._db, claim.job_id)
        try:
            archive = pack(
                self._storage,
                claim.job_id,
                finished,
                claim.shard_pairs,
                claim.request,
                package,
                claim.package_digest,
                report,
                claim.volume,
            )
        except StorageKeyError:
            due = set(finished).intersection(claim.plan.shards_of_volume(claim.volume))
            lost = lost_shards(self._storage, claim.job_id, due)
            if lost and make_again(self._db, claim, lost):
                raise Interrupted("parts are missing and made again", release=False) from None
            raise
        return asdict(archive)

    def _take_back(self, claim: Claim) -> None:
        """Removes what was written, lease lost, after the one who would have removed it did so."""
        with self._db.read() as session:
            job = session.get_one(Job, claim.job_id)
        try:
            if job.purged_at is not None:
                self._storage.delete_prefix(job_prefix(job.id))
                return
            if claim.kind == ItemKind.SLICE:
                self._trainer.take_back(claim)
            if claim.kind in (ItemKind.STEP, ItemKind.REPORT):
                self._evaluator.take_back(claim)
            for volume in job.volumes or []:
                shards = claim.plan.shards_of_volume(volume["number"])
                discard_segments(self._storage, job.id, shards)
        except OSError:
            logger.exception("could not remove what is left of %s", job.id)

    def _tidy(self, claim: Claim) -> None:
        try:
            if claim.kind == ItemKind.PACK:
                shards = claim.plan.shards_of_volume(claim.volume)
                discard_segments(self._storage, claim.job_id, shards)
            elif claim.kind == ItemKind.CHECK:
                self._storage.delete(zip_key(claim.job_id))
            elif claim.kind == ItemKind.SLICE:
                self._trainer.tidy(claim)
        except OSError:  # it only takes room, and goes when the job is deleted
            logger.exception("could not remove what %s needs no more", claim.job_id)


@lru_cache
def this_worker(stopping: Callable[[], bool]) -> Worker:
    """The worker of this process, opened on first use."""
    keep_freed_memory()
    settings = get_settings()
    start_tracing(settings, "fundusmith-worker")
    return Worker(settings, open_database(settings), open_storage(settings), stopping)
