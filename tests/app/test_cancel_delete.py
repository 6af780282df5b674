"""Cancelling and deleting, in every state a job can be in."""

from collections.abc import Callable

import pytest

from app.database import Database
from app.jobs.leases import (
    Claim,
    LeaseState,
    claim_next,
    fail,
    finished_shards,
    release,
    renew,
)
from app.jobs.orders import request_cancel, request_delete
from app.jobs.sweep import sweep
from app.jobs.tables import JobStatus
from app.storage import Storage
from tests.app.conftest import Jobs


def queued(jobs: Jobs) -> str:
    return jobs.order()


def running(jobs: Jobs) -> str:
    job_id = jobs.order()
    jobs.claim()
    return job_id


def running_but_idle(jobs: Jobs) -> str:
    job_id = jobs.order()
    release(jobs.db, jobs.claim())
    return job_id


def packaging(jobs: Jobs) -> str:
    job_id = jobs.order(count=4)
    jobs.finish(jobs.claim())
    jobs.claim()
    return job_id


def succeeded(jobs: Jobs) -> str:
    job_id = jobs.order()
    jobs.finish_all()
    return job_id


def failed(jobs: Jobs) -> str:
    job_id = jobs.order()
    for _ in range(3):
        fail(jobs.db, jobs.claim(), "broken", "Broken.")
    return job_id


def cancelling(jobs: Jobs) -> str:
    job_id = running(jobs)
    request_cancel(jobs.db, job_id)
    return job_id


def cancelled(jobs: Jobs) -> str:
    job_id = queued(jobs)
    request_cancel(jobs.db, job_id)
    return job_id


def leased(jobs: Jobs, job_id: str) -> bool:
    return "leased" in jobs.states(job_id)


AFTER_CANCEL = [
    (queued, "cancelled"),
    (running, "cancelling"),
    (running_but_idle, "cancelled"),
    (packaging, "cancelling"),
    (succeeded, "succeeded"),
    (failed, "failed"),
    (cancelling, "cancelling"),
    (cancelled, "cancelled"),
]


@pytest.mark.parametrize(("make", "status"), AFTER_CANCEL)
def test_cancel(db: Database, jobs: Jobs, make: Callable[[Jobs], str], status: str) -> None:
    job_id = make(jobs)
    assert request_cancel(db, job_id, clock=jobs.clock)
    first = jobs.row(job_id)
    assert first.status == status
    assert getattr(first, f"{status}_at") is not None
    assert claim_next(db, "two", clock=jobs.clock) is None
    jobs.clock.step(9)
    assert request_cancel(db, job_id, clock=jobs.clock)
    again = jobs.row(job_id)
    assert (again.status, again.cancelling_at, again.cancelled_at) == (
        first.status, first.cancelling_at, first.cancelled_at,
    )  # fmt: skip


@pytest.mark.parametrize(("make", "status"), AFTER_CANCEL)
def test_delete(
    db: Database,
    jobs: Jobs,
    storage: Storage,
    make: Callable[[Jobs], str],
    status: str,
) -> None:
    job_id = make(jobs)
    held = [f"jobs/{job_id}/shards/000000.segment", f"jobs/{job_id}/dataset.zip"]
    for key in (*held, "jobs/other/dataset.zip"):
        with storage.write(key) as file:
            file.write(b"x")
    assert request_delete(db, job_id, clock=jobs.clock)
    deleted = jobs.row(job_id)
    assert (deleted.status, deleted.deleted_at) == (status, jobs.clock.now)
    assert claim_next(db, "two", clock=jobs.clock) is None

    if leased(jobs, job_id):  # its worker may be writing: the bytes stay until the lease ends
        assert sweep(db, storage, clock=jobs.clock).purged == 0
        assert set(held) <= set(storage.list())
    jobs.clock.step(60)
    assert request_delete(db, job_id, clock=jobs.clock)
    assert sweep(db, storage, clock=jobs.clock).purged == 1
    assert storage.list() == ["jobs/other/dataset.zip"]
    row = jobs.row(job_id)
    assert (row.deleted_at, row.purged_at) == (deleted.deleted_at, jobs.clock.now)
    assert row.status not in (JobStatus.RUNNING, JobStatus.PACKAGING, JobStatus.CANCELLING)
    assert jobs.items(job_id) == []
    assert request_delete(db, job_id, clock=jobs.clock)
    assert sweep(db, storage, clock=jobs.clock).purged == 0


def half_done(jobs: Jobs) -> tuple[str, Claim]:
    """A cancelled job of three shards, one done and one in the hands of a worker."""
    job_id = jobs.order(count=12, shard_pairs=4)
    jobs.finish(jobs.claim())
    claim = jobs.claim()
    request_cancel(jobs.db, job_id, clock=jobs.clock)
    return job_id, claim


def test_what_was_finished_is_packed(db: Database, jobs: Jobs) -> None:
    job_id, claim = half_done(jobs)
    assert claim_next(db, "two", clock=jobs.clock) is None
    assert renew(db, claim, 1, clock=jobs.clock) is LeaseState.CANCELLED
    release(db, claim, clock=jobs.clock)
    assert jobs.row(job_id).status == "cancelling"
    packing = jobs.claim()
    assert (packing.kind, finished_shards(db, job_id)) == ("pack", [0])
    assert renew(db, packing, 1, clock=jobs.clock) is LeaseState.HELD
    assert jobs.finish(packing)
    job = jobs.row(job_id)
    assert (job.status, len(job.volumes or [])) == ("cancelled", 1)
    assert jobs.states(job_id) == ["done", "dropped", "dropped", "done"]


def test_a_shard_finished_after_the_cancel_is_packed_too(db: Database, jobs: Jobs) -> None:
    job_id, claim = half_done(jobs)
    assert jobs.finish(claim)
    assert jobs.claim().kind == "pack"
    assert finished_shards(db, job_id) == [0, 1]


def test_a_part_that_cannot_be_packed_is_given_up(db: Database, jobs: Jobs) -> None:
    job_id, claim = half_done(jobs)
    release(db, claim, clock=jobs.clock)
    for _ in range(3):
        assert jobs.row(job_id).status == "cancelling"
        fail(db, jobs.claim(), "broken", "Broken.", clock=jobs.clock)
    job = jobs.row(job_id)
    assert (job.status, job.volumes) == ("cancelled", None)
    detail = "The archive could not be packed (tried 3 times). Broken."
    assert job.error == {"code": "broken", "detail": detail}


def test_the_packing_of_a_part_outlives_its_worker(
    db: Database, jobs: Jobs, storage: Storage
) -> None:
    job_id, claim = half_done(jobs)
    release(db, claim, clock=jobs.clock)
    jobs.claim()
    jobs.clock.step(60)
    assert sweep(db, storage, clock=jobs.clock).expired == 1
    assert jobs.finish(jobs.claim())
    assert jobs.row(job_id).status == "cancelled"


def test_a_deleted_job_is_not_packed(db: Database, jobs: Jobs) -> None:
    job_id, claim = half_done(jobs)
    release(db, claim, clock=jobs.clock)
    packing = jobs.claim()
    request_delete(db, job_id, clock=jobs.clock)
    assert renew(db, packing, 1, clock=jobs.clock) is LeaseState.CANCELLED
    release(db, packing, clock=jobs.clock)
    assert jobs.row(job_id).status == "cancelled"
    waiting, claim = half_done(jobs)
    release(db, claim, clock=jobs.clock)
    request_delete(db, waiting, clock=jobs.clock)
    assert claim_next(db, "two", clock=jobs.clock) is None
    assert jobs.row(waiting).status == "cancelled"


def test_what_was_never_ordered_cannot_be_ended(db: Database) -> None:
    assert request_cancel(db, "ds_never") is False
    assert request_delete(db, "ds_never") is False


def test_a_deleted_job_cannot_be_cancelled(db: Database, jobs: Jobs) -> None:
    job_id = succeeded(jobs)
    request_delete(db, job_id)
    assert request_cancel(db, job_id) is False
