"""What must hold when many workers act at the same moment."""

import threading
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager
from typing import TypeVar

import pytest
from sqlalchemy.orm import Session

from app.database import Database
from app.jobs.leases import Claim, claim_next, complete
from app.jobs.tables import Item
from tests.app.conftest import Jobs, result_of

Result = TypeVar("Result")


def at_once(calls: Sequence[Callable[[], Result]]) -> list[Result]:
    """Run the calls in threads that start together; any exception is raised here."""
    gate = threading.Barrier(len(calls))
    results: list[Result] = []
    errors: list[Exception] = []

    def run(call: Callable[[], Result]) -> None:
        gate.wait()
        try:
            results.append(call())
        except Exception as error:
            errors.append(error)

    threads = [threading.Thread(target=run, args=(call,)) for call in calls]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    if errors:
        raise ExceptionGroup("in threads", errors)
    return results


def claim_all(db: Database, worker_id: str) -> list[Claim]:
    claims = []
    while claim := claim_next(db, worker_id):
        claims.append(claim)
    return claims


def test_no_item_is_claimed_twice(db: Database, jobs: Jobs) -> None:
    jobs.order(count=20, shard_pairs=1)
    jobs.order(count=20, shard_pairs=1)
    shares = at_once([lambda n=n: claim_all(db, f"worker {n}") for n in range(4)])
    claims = [claim for share in shares for claim in share]
    assert len({claim.item_id for claim in claims}) == len(claims) == 40
    assert {claim.attempt for claim in claims} == {1}


def test_a_worker_that_was_beaten_takes_the_next_item(
    db: Database, jobs: Jobs, monkeypatch: pytest.MonkeyPatch
) -> None:
    first, second = jobs.order(count=1), jobs.order(count=1)
    write = db.write

    def write_after_another() -> AbstractContextManager[Session]:
        monkeypatch.setattr(db, "write", write)
        assert jobs.claim("faster").job_id == first
        return write()

    monkeypatch.setattr(db, "write", write_after_another)
    assert jobs.claim("slower").job_id == second


def test_one_of_two_completions_of_an_attempt_counts(db: Database, jobs: Jobs) -> None:
    jobs.order()
    claim = jobs.claim()
    calls = [lambda: complete(db, claim, result_of(claim))] * 4
    assert sorted(at_once(calls)) == [False, False, False, True]


def test_the_packing_becomes_ready_once(db: Database, jobs: Jobs) -> None:
    job_id = jobs.order(count=8, shard_pairs=1)
    claims = claim_all(db, "one")
    assert len(claims) == 8
    calls = [lambda claim=claim: complete(db, claim, result_of(claim)) for claim in claims]
    assert at_once(calls) == [True] * 8
    assert jobs.row(job_id).status == "packaging"
    packs = [claim for share in at_once([lambda: claim_all(db, "two")] * 3) for claim in share]
    assert [(claim.kind, claim.attempt) for claim in packs] == [("pack", 1)]
    with db.read() as session:
        assert session.query(Item).filter_by(job_id=job_id, state="done").count() == 8
