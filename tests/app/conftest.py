"""A clock, orders and an API, all real but for the time."""

import json
from collections.abc import Callable, Iterator
from dataclasses import asdict
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from fastapi.testclient import TestClient

from app.database import Database
from app.deps import Services
from app.jobs.leases import Claim, claim_next, complete
from app.jobs.orders import create_job
from app.jobs.tables import Item, Job
from app.main import create_app
from app.settings import Settings
from tests.app.making import STAGE_SECONDS
from tests.app.packages import write_package
from tests.conftest import Parts

NOBODY_LISTENS = "redis://127.0.0.1:1/0"


class SteppingClock:
    """Stands still until it is told to go on."""

    def __init__(self) -> None:
        self.now = datetime(2026, 1, 1, tzinfo=UTC)

    def __call__(self) -> datetime:
        return self.now

    def step(self, seconds: float) -> None:
        self.now += timedelta(seconds=seconds)


class Jobs:
    """Orders in the test's database, and shorthands for what happens to them."""

    def __init__(self, db: Database, clock: SteppingClock) -> None:
        self.db = db
        self.clock = clock

    def order(self, count: int = 8, shard_pairs: int = 4, **request: Any) -> str:
        self.clock.step(1)
        return create_job(
            self.db,
            request={"count": count, "resolution": 64, "model": "eye@1.0.0", "seed": 7, **request},
            package_digest="d" * 64,
            shard_pairs=shard_pairs,
            clock=self.clock,
        )

    def claim(self, worker_id: str = "one", lease_seconds: float = 30) -> Claim:
        claim = claim_next(self.db, worker_id, lease_seconds=lease_seconds, clock=self.clock)
        assert claim is not None
        return claim

    def finish(self, claim: Claim) -> bool:
        return complete(self.db, claim, result_of(claim), clock=self.clock)

    def finish_all(self) -> None:
        while claim := claim_next(self.db, "one", clock=self.clock):
            assert self.finish(claim)

    def row(self, job_id: str) -> Job:
        with self.db.read() as session:
            return session.get_one(Job, job_id)

    def items(self, job_id: str) -> list[Item]:
        with self.db.read() as session:
            return session.query(Item).filter_by(job_id=job_id).order_by(Item.ordinal).all()

    def states(self, job_id: str) -> list[str]:
        return [item.state for item in self.items(job_id)]


def result_of(claim: Claim) -> dict[str, Any]:
    """What a worker reports of a finished item."""
    if claim.kind == "pack":
        return {
            "number": claim.volume,
            "key": f"jobs/{claim.job_id}/dataset.zip",
            "pairs": claim.count,
            "bytes": 1000,
            "manifest_sha256": "a" * 64,
        }
    return {
        "segment_key": f"jobs/{claim.job_id}/shards/{claim.ordinal:06d}.segment",
        "index_key": f"jobs/{claim.job_id}/shards/{claim.ordinal:06d}.index",
        "bytes": 100 * claim.count,
        "seconds": 0.5 * claim.count,
        "stage_seconds": STAGE_SECONDS,
        "environment": {"torch": "2.13.0", "device": "cpu"},
    }


@pytest.fixture
def clock() -> SteppingClock:
    return SteppingClock()


@pytest.fixture
def jobs(db: Database, clock: SteppingClock) -> Jobs:
    return Jobs(db, clock)


@pytest.fixture
def settings(tmp_path: Path, parts: Parts) -> Settings:
    write_package(tmp_path / "packages" / "eye")
    return Settings(
        **asdict(parts),
        data_dir=tmp_path / "data",
        models_dir=tmp_path / "packages",
        broker_url=NOBODY_LISTENS,
        shard_pairs=4,
    )


@pytest.fixture
def api(settings: Settings) -> Iterator[TestClient]:
    """The API with one model, eye@1.0.0, and no broker: nothing needs one but the workers."""
    with TestClient(create_app(settings), raise_server_exceptions=False) as client:
        yield client


@pytest.fixture
def services(api: TestClient) -> Services:
    """The parts of the API under test."""
    return api.app.state.services  # type: ignore[attr-defined]


@pytest.fixture
def order(api: TestClient) -> Callable[..., str]:
    """Orders a data set over HTTP and returns its id."""

    def place(count: int = 8, **fields: Any) -> str:
        response = api.post("/datasets", json={"count": count, **fields})
        assert response.status_code == 202, response.text
        return json.loads(response.text)["id"]

    return place
