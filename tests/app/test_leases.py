import pytest
from sqlalchemy import select

from app.database import Database
from app.jobs.leases import LeaseState, claim_next, complete, fail, release, renew
from app.jobs.orders import request_cancel
from app.jobs.tables import Item, Rate
from tests.app.conftest import Jobs, SteppingClock, result_of


def test_an_order_is_cut_into_shards_and_their_packing(jobs: Jobs) -> None:
    job_id = jobs.order(count=10, shard_pairs=4)
    items = [(i.kind, i.ordinal, i.first, i.count, i.state) for i in jobs.items(job_id)]
    assert items == [
        ("shard", 0, 0, 4, "ready"),
        ("shard", 1, 4, 4, "ready"),
        ("shard", 2, 8, 2, "ready"),
        ("pack", 3, 0, 10, "waiting"),
    ]
    assert jobs.row(job_id).queued_at == jobs.row(job_id).created_at


def test_a_job_from_order_to_archive(jobs: Jobs) -> None:
    job_id = jobs.order(count=8, shard_pairs=4)
    first = jobs.claim()
    assert (first.job_id, first.kind, first.ordinal, first.first, first.count) == (
        job_id, "shard", 0, 0, 4,
    )  # fmt: skip
    assert first.request == {"count": 8, "resolution": 64, "model": "eye@1.0.0", "seed": 7}
    assert (first.attempt, first.package_digest, first.shard_pairs) == (1, "d" * 64, 4)
    assert jobs.row(job_id).status == "running"
    assert jobs.finish(first)
    assert jobs.row(job_id).status == "running"
    assert jobs.finish(jobs.claim())
    assert jobs.row(job_id).status == "packaging"
    pack = jobs.claim()
    assert (pack.kind, pack.ordinal, pack.count) == ("pack", 2, 8)
    jobs.clock.step(5)
    assert jobs.finish(pack)
    job = jobs.row(job_id)
    assert (job.status, job.volumes) == ("succeeded", [result_of(pack)])
    assert job.environment == {"torch": "2.13.0", "device": "cpu"}
    assert job.succeeded_at == jobs.clock.now
    assert job.queued_at <= job.running_at <= job.packaging_at < job.succeeded_at
    assert jobs.states(job_id) == ["done"] * 3


def test_the_oldest_job_comes_first(db: Database, jobs: Jobs, clock: SteppingClock) -> None:
    older, newer = jobs.order(count=8, shard_pairs=4), jobs.order(count=4, shard_pairs=4)
    claims = [jobs.claim() for _ in range(3)]
    assert [(claim.job_id, claim.ordinal) for claim in claims] == [
        (older, 0),
        (older, 1),
        (newer, 0),
    ]
    assert claim_next(db, "one", clock=clock) is None


def test_a_worker_gets_only_what_it_can_do(db: Database, jobs: Jobs, clock: SteppingClock) -> None:
    jobs.order(count=4, shard_pairs=4)
    assert claim_next(db, "one", kinds=("pack",), clock=clock) is None
    jobs.finish(jobs.claim())
    assert claim_next(db, "one", kinds=("shard",), clock=clock) is None
    assert claim_next(db, "one", kinds=("pack",), clock=clock) is not None


def test_a_heartbeat_prolongs_the_lease(db: Database, jobs: Jobs, clock: SteppingClock) -> None:
    job_id = jobs.order()
    claim = jobs.claim(lease_seconds=30)
    clock.step(20)
    assert renew(db, claim, progress=3, lease_seconds=30, clock=clock) is LeaseState.HELD
    item = jobs.items(job_id)[0]
    assert item.lease_until is not None
    assert (item.progress, (item.lease_until - clock.now).total_seconds()) == (3, 30)


def test_an_older_attempt_changes_nothing(db: Database, jobs: Jobs, clock: SteppingClock) -> None:
    job_id = jobs.order()
    old = jobs.claim("one")
    release(db, old, clock=clock)
    new = jobs.claim("two")
    assert (new.item_id, new.attempt) == (old.item_id, 2)
    before = jobs.items(job_id)[0].lease_until

    assert renew(db, old, progress=1, clock=clock) is LeaseState.LOST
    assert complete(db, old, result_of(old), clock=clock) is False
    fail(db, old, "code", "detail", clock=clock)
    release(db, old, clock=clock)

    item = jobs.items(job_id)[0]
    assert (item.state, item.worker_id, item.attempt) == ("leased", "two", 2)
    assert (item.failures, item.progress, item.lease_until) == (0, 0, before)
    assert jobs.finish(new)


def test_an_item_is_completed_once(jobs: Jobs) -> None:
    jobs.order()
    claim = jobs.claim()
    assert jobs.finish(claim)
    assert not jobs.finish(claim)


def test_a_released_item_can_be_claimed_at_once(
    db: Database, jobs: Jobs, clock: SteppingClock
) -> None:
    job_id = jobs.order(count=4)
    for _ in range(10):  # a release is no failure, however often
        claim = jobs.claim()
        renew(db, claim, progress=2, clock=clock)
        release(db, claim, clock=clock)
    item = jobs.items(job_id)[0]
    assert (item.state, item.failures, item.progress, item.lease_until) == ("ready", 0, 0, None)


def test_a_failure_is_tried_again(db: Database, jobs: Jobs, clock: SteppingClock) -> None:
    job_id = jobs.order()
    fail(db, jobs.claim(), "out_of_memory", "Too little.", clock=clock)
    assert jobs.row(job_id).status == "running"
    assert jobs.items(job_id)[0].error == {"code": "out_of_memory", "detail": "Too little."}
    jobs.finish_all()
    assert jobs.row(job_id).status == "succeeded"
    assert jobs.row(job_id).error is None


def test_the_last_failure_fails_the_job(db: Database, jobs: Jobs, clock: SteppingClock) -> None:
    job_id = jobs.order(count=12)
    other = jobs.claim("two")
    for attempt in range(3):
        claim = jobs.claim()
        assert (claim.ordinal, claim.attempt) == (1, attempt + 1)
        fail(db, claim, "broken", f"Time {attempt + 1}.", clock=clock)
    job = jobs.row(job_id)
    assert (job.status, job.failed_at) == ("failed", clock.now)
    part = "Pairs 4 to 7 could not be made (tried 3 times)."
    assert job.error == {"code": "broken", "detail": f"{part} Time 3."}
    assert jobs.states(job_id) == ["leased", "failed", "dropped", "dropped"]
    assert claim_next(db, "one", clock=clock) is None
    # The worker that is still at it hears so, and what it gives back is not done again.
    assert renew(db, other, progress=1, clock=clock) is LeaseState.CANCELLED
    release(db, other, clock=clock)
    assert jobs.states(job_id) == ["dropped", "failed", "dropped", "dropped"]


def test_what_would_end_the_same_way_is_not_tried_again(db: Database, jobs: Jobs) -> None:
    job_id = jobs.order(count=5, shard_pairs=4)
    jobs.finish(jobs.claim())
    fail(db, jobs.claim(), "broken", "Hopeless.", final=True)
    job = jobs.row(job_id)
    detail = "Pair 4 could not be made (tried once). Hopeless."
    assert (job.status, job.error) == ("failed", {"code": "broken", "detail": detail})


def test_packing_that_failed_is_called_so(db: Database, jobs: Jobs) -> None:
    job_id = jobs.order(count=4)
    jobs.finish(jobs.claim())
    for _ in range(3):
        fail(db, jobs.claim(), "broken", "Full.")
    error = jobs.row(job_id).error
    assert error is not None
    assert error["detail"] == "The archive could not be packed (tried 3 times). Full."


def test_a_shard_finished_after_the_job_failed_does_not_revive_it(
    db: Database, jobs: Jobs, clock: SteppingClock
) -> None:
    job_id = jobs.order(count=8)
    other = jobs.claim("two")
    for _ in range(3):
        fail(db, jobs.claim(), "broken", "Again.", clock=clock)
    assert jobs.finish(other)
    assert jobs.row(job_id).status == "failed"
    assert jobs.states(job_id) == ["done", "failed", "dropped"]


def test_a_cancelled_worker_hears_so_and_its_job_is_then_cancelled(
    db: Database, jobs: Jobs, clock: SteppingClock
) -> None:
    job_id = jobs.order()
    claim = jobs.claim()
    request_cancel(db, job_id, clock=clock)
    assert renew(db, claim, progress=1, clock=clock) is LeaseState.CANCELLED
    release(db, claim, clock=clock)
    assert jobs.row(job_id).status == "cancelled"
    assert jobs.states(job_id) == ["dropped"] * 3


def test_an_archive_that_comes_after_the_cancel_is_kept(
    db: Database, jobs: Jobs, clock: SteppingClock
) -> None:
    job_id = jobs.order(count=4)
    jobs.finish(jobs.claim())
    pack = jobs.claim()
    request_cancel(db, job_id, clock=clock)
    assert jobs.row(job_id).status == "cancelling"
    jobs.finish(pack)
    job = jobs.row(job_id)
    assert (job.status, job.volumes, job.succeeded_at) == ("cancelled", [result_of(pack)], None)


def test_finished_shards_teach_the_rates(db: Database, jobs: Jobs, clock: SteppingClock) -> None:
    jobs.order(count=12)
    for seconds, size in ((4.0, 400), (8.0, 800), (8.0, 800)):
        claim = jobs.claim()
        result = {**result_of(claim), "seconds": seconds, "bytes": size}
        assert complete(db, claim, result, clock=clock)
    with db.read() as session:
        (rate,) = session.scalars(select(Rate))
    assert (rate.model, rate.resolution) == ("eye@1.0.0", 64)
    assert rate.seconds_per_pair == pytest.approx(1 + 0.2 + 0.16)
    assert rate.bytes_per_pair == pytest.approx(136)


def test_what_a_worker_holds_is_in_the_row(db: Database, jobs: Jobs, clock: SteppingClock) -> None:
    jobs.order()
    claim = jobs.claim("host:1")
    with db.read() as session:
        item = session.get_one(Item, claim.item_id)
    assert (item.state, item.worker_id, item.attempt) == ("leased", "host:1", 1)
