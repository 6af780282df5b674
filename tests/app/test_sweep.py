import pytest

from app.database import Database
from app.jobs.leases import LeaseState, claim_next, complete, renew
from app.jobs.orders import request_cancel, request_delete
from app.jobs.sweep import SweepReport, sweep
from app.jobs.tables import Item, Job, Role
from app.storage import Storage
from tests.app.conftest import Jobs, SteppingClock, result_of


def test_nothing_to_do(db: Database, jobs: Jobs, storage: Storage) -> None:
    jobs.order(count=12)
    jobs.claim()
    assert sweep(db, storage, clock=jobs.clock) == SweepReport(ready={Role.GENERATE: 2})


def test_an_expired_lease_returns_the_item(
    db: Database, jobs: Jobs, storage: Storage, clock: SteppingClock
) -> None:
    job_id = jobs.order(count=4)
    lost = jobs.claim("dead", lease_seconds=30)
    renew(db, lost, progress=3, clock=clock)
    clock.step(30)
    assert sweep(db, storage, clock=clock).expired == 0
    clock.step(1)
    assert sweep(db, storage, clock=clock) == SweepReport(expired=1, ready={Role.GENERATE: 1})
    item = jobs.items(job_id)[0]
    assert (item.state, item.progress, item.failures) == ("ready", 0, 1)

    # The worker was only slow: it is fenced off, and the new attempt counts.
    assert renew(db, lost, progress=4, clock=clock) is LeaseState.LOST
    new = jobs.claim("alive")
    assert complete(db, lost, result_of(lost), clock=clock) is False
    assert jobs.finish(new)


def test_a_late_completion_counts_if_no_one_else_began(jobs: Jobs, clock: SteppingClock) -> None:
    jobs.order()
    claim = jobs.claim(lease_seconds=30)
    clock.step(300)
    assert jobs.finish(claim)


def test_workers_lost_too_often_fail_the_job(
    db: Database, jobs: Jobs, storage: Storage, clock: SteppingClock
) -> None:
    job_id = jobs.order(count=8)
    for _ in range(3):
        assert jobs.claim().ordinal == 0
        clock.step(31)
        assert sweep(db, storage, clock=clock).expired == 1
    job = jobs.row(job_id)
    assert job.status == "failed"
    assert job.error is not None
    assert job.error["code"] == "worker_lost"
    assert jobs.states(job_id) == ["failed", "dropped", "dropped"]


def test_all_leases_of_a_job_expire_together(
    db: Database, jobs: Jobs, storage: Storage, clock: SteppingClock
) -> None:
    job_id = jobs.order(count=12)
    for _ in range(3):
        jobs.claim()
    clock.step(31)
    assert sweep(db, storage, clock=clock) == SweepReport(expired=3, ready={Role.GENERATE: 3})
    assert jobs.states(job_id) == ["ready", "ready", "ready", "waiting"]


def test_a_cancelling_job_whose_worker_died_is_cancelled(
    db: Database, jobs: Jobs, storage: Storage, clock: SteppingClock
) -> None:
    job_id = jobs.order()
    jobs.claim()
    request_cancel(db, job_id, clock=clock)
    assert sweep(db, storage, clock=clock) == SweepReport()
    assert jobs.row(job_id).status == "cancelling"
    clock.step(31)
    assert sweep(db, storage, clock=clock) == SweepReport(expired=1)
    assert jobs.row(job_id).status == "cancelled"
    assert jobs.states(job_id) == ["dropped"] * 3


def test_a_missed_fan_in_is_made_good(
    db: Database, jobs: Jobs, storage: Storage, clock: SteppingClock
) -> None:
    job_id = jobs.order(count=4)
    claim = jobs.claim()
    with db.write() as session:  # as if the transaction had stopped half-way
        session.get_one(Item, claim.item_id).state = "done"
    assert claim_next(db, "one", clock=clock) is None
    assert sweep(db, storage, clock=clock) == SweepReport(settled=1, ready={Role.GENERATE: 1})
    assert jobs.row(job_id).status == "packaging"
    assert jobs.claim().kind == "pack"


def test_a_missed_cancel_is_made_good(
    db: Database, jobs: Jobs, storage: Storage, clock: SteppingClock
) -> None:
    job_id = jobs.order()
    with db.write() as session:
        job = session.get_one(Job, job_id)
        job.status = "cancelling"
        for item in session.query(Item).filter_by(job_id=job_id):
            item.state = "dropped"
    assert sweep(db, storage, clock=clock).settled == 1
    assert jobs.row(job_id).status == "cancelled"


def test_a_folder_that_cannot_be_removed_is_tried_again(
    db: Database,
    jobs: Jobs,
    storage: Storage,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    job_id = jobs.order()
    request_delete(db, job_id)
    jobs.order(count=4)

    def refuse(prefix: str) -> None:
        raise PermissionError(prefix)

    with monkeypatch.context() as broken:
        broken.setattr(storage, "delete_prefix", refuse)
        assert sweep(db, storage) == SweepReport(ready={Role.GENERATE: 1})
    assert job_id in caplog.text
    assert sweep(db, storage).purged == 1
