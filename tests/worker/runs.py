"""Training runs small enough for tests."""

import json
from collections.abc import Iterable
from typing import Any

import torch
from safetensors.torch import load
from sqlalchemy import select
from torch import Tensor

from app.database import Database
from app.jobs.runs import create_run, newest_slices
from app.jobs.tables import Job, Role
from app.registry.tables import StoredModel
from app.storage import Storage
from worker.item import Worker

# Networks of a few hundred weights.
TINY = {
    "vessel": {"width": 0.125, "latent": 8},
    "photo": {"width": 0.125, "blocks": 0, "style": 2, "batch": 4},
}


def request(upload_id: str, images: int = 16, **changes: Any) -> dict[str, Any]:
    """A complete request of a run of both stages at 64 px."""
    data = {"name": "Drawn", "licence": "CC0", "attribution": "a test", "url": ""}
    return {
        "upload": upload_id,
        "name": "mine",
        "stages": "both",
        "resolution": 64,
        "budget": {"images": images},
        "from": None,
        "seed": 3,
        "settings": TINY,
        "data": data,
        **changes,
    }


def order_run(db: Database, upload: Job, digest: str = "", **changes: Any) -> str:
    return create_run(
        db,
        request=request(upload.id, **changes),
        package_digest=digest,
        pairs=upload.count,
        check=lambda session, now: None,
    )


def train(worker: Worker, most: int = 100) -> int:
    """Does slices until there are none, or so many are done; returns how many there were."""
    done = 0
    while done < most and worker.work(Role.TRAIN):
        done += 1
    return done


def row(db: Database, job_id: str) -> Job:
    with db.read() as session:
        return session.get_one(Job, job_id)


def weights(db: Database, model: str | None) -> dict[str, str]:
    """SHA-256 of each weights file of a model that was made here."""
    assert model is not None
    name, _, version = model.partition("@")
    with db.read() as session:
        stored = session.scalars(
            select(StoredModel).where(StoredModel.name == name, StoredModel.version == version)
        ).one()
    files = digests(stored.package)
    assert set(files) == {"vessel.safetensors", "translator.safetensors", "tracer.safetensors"}
    return files


def tensors(db: Database, storage: Storage, run_id: str) -> dict[str, Tensor]:
    """Of both stages' networks and optimisers, as the run's newest slice has left them."""
    with db.read() as session:
        stages = newest_slices(session, [run_id])[run_id]["stages"]
    return {
        f"{stage}.{name}": tensor
        for stage, place in stages.items()
        for name, tensor in load(storage.read(place["checkpoint"])).items()
    }


def same(one: dict[str, Tensor], other: dict[str, Tensor]) -> bool:
    return one.keys() == other.keys() and all(torch.equal(one[name], other[name]) for name in one)


def digests(package: str) -> dict[str, str]:
    files: Iterable[tuple[str, dict[str, str]]] = json.loads(package)["files"].items()
    return {name: facts["sha256"] for name, facts in files if name.endswith(".safetensors")}
