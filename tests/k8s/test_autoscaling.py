"""What KEDA counts, on PostgreSQL, as the role that the page makes for it."""

import re

import pytest
from sqlalchemy import text
from sqlalchemy.exc import ProgrammingError

from app.database import Database
from app.jobs.leases import claim_next
from app.jobs.orders import request_cancel
from app.jobs.tables import Item, ItemKind, ItemState, Role
from tests.app.conftest import Jobs, SteppingClock
from tests.k8s.manifests import PAGE, documented_secrets, name_of, of_kind, overlay

pytestmark = pytest.mark.parametrize("parts", ["production"], indirect=True)


@pytest.fixture
def jobs(db: Database) -> Jobs:
    return Jobs(db, SteppingClock())


def count(db: Database) -> dict[Role, int]:
    """What KEDA gets. Its role is made as the page says, and is gone with the transaction."""
    queries = {
        name_of(scaled).removeprefix("worker-"): scaled["spec"]["triggers"][0]["metadata"]["query"]
        for scaled in of_kind(overlay("cpu"), "ScaledObject")
    }
    [statements] = re.findall(r"```sql\n(.*?)```", PAGE, re.DOTALL)
    [keda] = documented_secrets()["fundusmith-keda"]
    with db.engine.connect() as connection:
        connection.execute(text(statements))
        connection.execute(text(f"SET ROLE {keda['username']}"))
        return {role: connection.scalar(text(queries[role])) for role in Role}


def test_queued_and_running_items_are_counted(db: Database, jobs: Jobs) -> None:
    assert count(db) == {Role.GENERATE: 0, Role.TRAIN: 0}
    jobs.order(count=12, shard_pairs=4)
    cancelled = jobs.order(count=8, shard_pairs=4)
    assert count(db) == {Role.GENERATE: 5, Role.TRAIN: 0}  # packing waits for its shards
    request_cancel(db, cancelled, clock=jobs.clock)
    claim = jobs.claim()
    assert count(db)[Role.GENERATE] == 3  # one of them in hand
    jobs.finish(claim)
    jobs.finish(jobs.claim())
    jobs.claim()
    assert count(db)[Role.GENERATE] == 1  # nothing is queued, and it must not be scaled away
    jobs.clock.step(60)
    assert claim_next(db, "two", clock=jobs.clock) is None


def test_each_kind_counts_for_its_role(db: Database, jobs: Jobs) -> None:
    job_id = jobs.order(count=4, shard_pairs=4)
    with db.write() as session:
        session.query(Item).delete()
        states = [(kind, state) for kind in ItemKind for state in ItemState]
        for ordinal, (kind, state) in enumerate(states):
            values = {"job_id": job_id, "ordinal": ordinal, "first": 0, "count": 1}
            session.add(Item(kind=kind, state=state, **values))
    assert count(db) == {role: 2 * len(role.kinds) for role in Role}


def test_keda_can_read_nothing_else(db: Database) -> None:
    [statements] = re.findall(r"```sql\n(.*?)```", PAGE, re.DOTALL)
    for table in ("jobs", "api_keys", "items"):
        with db.engine.connect() as connection:
            connection.execute(text(statements))
            connection.execute(text("SET ROLE fundusmith_keda"))
            with pytest.raises(ProgrammingError, match=f"permission denied for table {table}"):
                connection.execute(text(f"SELECT * FROM {table}"))
