"""A worker without networks: it makes plain-coloured pairs and packs real archives of them."""

import io
import json
from dataclasses import asdict
from typing import Any

from PIL import Image

from app.archive.constraints import limits_of
from app.archive.formats import format_name
from app.archive.layout import image_roles, index_key, segment_key
from app.archive.pack import discard_segments, pack
from app.archive.shard import ShardWriter
from app.deps import Services
from app.jobs.evaluations import step_prefix
from app.jobs.leases import Claim, claim_next, complete, finished_shards
from app.jobs.runs import slice_prefix
from tests.app.packages import manifest
from worker.check.upload import check_upload

ENVIRONMENT = {"torch": "2.13.0", "device": "cpu"}
STAGE_SECONDS = {"generate": 0.4, "encode": 0.1, "upload": 0.02}  # of a shard
SUMMARY = {
    "f1": {"real": 0.8, "synthetic": 0.75},
    "synthetic_to_real": 0.9375,
    "kid": None,
    "copies": 0,
    "nearer_to_training": 0.55,
}


def picture(index: int, kind: str, side: int = 64, image_format: str = "png") -> bytes:
    """A file whose colour tells which pair and which picture of it this is."""
    colour = (index, 0, 0) if kind == "image" else 255 * (index % 2)
    file = io.BytesIO()
    Image.new("RGB" if kind == "image" else "L", (side, side), colour).save(file, image_format)
    return file.getvalue()


def make_items(services: Services, most: int | None = None) -> int:
    """Do ready items until there are none, or ``most`` are done; returns how many were."""
    done = 0
    while done != most and (claim := claim_next(services.db, "a test")):
        assert complete(services.db, claim, make(services, claim))
        done += 1
    return done


def make(services: Services, claim: Claim) -> dict[str, Any]:
    """Do one item and return its result.

    With limits, two candidates are turned away for each pair and measure.
    """
    if claim.kind == "check":
        return check_upload(claim, services.storage, lambda done: None)
    if claim.kind == "shard":
        return _make_shard(services, claim)
    if claim.kind == "slice":
        return make_slice(services, claim)
    if claim.kind == "step":
        return make_step(claim)
    if claim.kind == "report":
        return make_report(services, claim)
    archive = pack(
        services.storage,
        claim.job_id,
        finished_shards(services.db, claim.job_id),
        claim.shard_pairs,
        claim.request,
        manifest(),
        claim.package_digest,
        volume=claim.volume,
    )
    shards = claim.plan.shards_of_volume(claim.volume)
    discard_segments(services.storage, claim.job_id, shards)
    return asdict(archive)


def _picture(index: int, kind: str, order: dict[str, Any]) -> bytes:
    image_format = format_name(order) if kind == "image" else "png"
    return picture(index, kind, order["resolution"], image_format)


def make_slice(services: Services, claim: Claim, **changes: Any) -> dict[str, Any]:
    """A slice of 100 images of each stage, as one that is not the last; ``changes`` to its result."""
    prefix = slice_prefix(claim.job_id, claim.ordinal, claim.attempt)
    images = 100 * (claim.ordinal + 1)
    lines = [
        {"stage": stage, "images": images - before, "seconds": 1.5, "loss": 0.25}
        for stage in ("vessel", "photo")
        for before in (50, 0)
    ]
    files = {
        "metrics.jsonl": b"".join(json.dumps(line).encode() + b"\n" for line in lines),
        "vessel.png": picture(1, "image"),
        "vessel-0.tfevents": b"events",
    }
    for name, data in files.items():
        with services.storage.write(prefix + name) as file:
            file.write(data)
    place = {"images": images, "seconds": 60.0, "checkpoint": None}
    return {
        "images": 200,
        "seconds": 130.0,
        "stages": {"vessel": place, "photo": place},
        "spent": False,
        "settings": {"vessel": {"batch": 8}, "photo": {"batch": 2}},
        "environment": ENVIRONMENT,
        "metrics": f"{prefix}metrics.jsonl",
        "sheets": [{"stage": "vessel", "images": images, "key": f"{prefix}vessel.png"}],
        "events": [{"stage": "vessel", "key": f"{prefix}vessel-0.tfevents"}],
        "error": None,
        "package": None,
        "model": None,
        **changes,
    }


def make_step(claim: Claim) -> dict[str, Any]:
    """A step of 20 seconds, 15 of them without what came before."""
    return {
        "seconds": 20.0,
        "step_seconds": 15.0,
        "values": f"{step_prefix(claim.job_id, claim.ordinal, claim.attempt)}values.json",
        "pictures": {},
        "environment": ENVIRONMENT,
    }


def make_report(services: Services, claim: Claim) -> dict[str, Any]:
    prefix = step_prefix(claim.job_id, claim.ordinal, claim.attempt)
    files = {"report.json": b'{"facts": {}}', "report.html": b"<h1>F1"}
    for name, data in files.items():
        with services.storage.write(prefix + name) as file:
            file.write(data)
    keys = {"report": f"{prefix}report.json", "page": f"{prefix}report.html"}
    return {**keys, "summary": SUMMARY, "seconds": 2.0}


def _make_shard(services: Services, claim: Claim) -> dict[str, Any]:
    job_id, ordinal = claim.job_id, claim.ordinal
    limits = limits_of(claim.request)
    noted = {"quality": dict.fromkeys(limits, 0.5), "rejected": dict.fromkeys(limits, 2)}
    with services.storage.write(segment_key(job_id, ordinal)) as file:
        shard = ShardWriter(file, claim.request)
        for index in range(claim.first, claim.first + claim.count):
            pictures = (_picture(index, kind, claim.request) for kind in image_roles(claim.request))
            facts = {"seed": index, "vessel_share": 0.5, **(noted if limits else {})}
            shard.add(index, *pictures, **facts)
        records = shard.finish(ENVIRONMENT)
    with services.storage.write(index_key(job_id, ordinal)) as file:
        file.write(records)
    return {
        "segment_key": segment_key(job_id, ordinal),
        "index_key": index_key(job_id, ordinal),
        "bytes": shard.size,
        "seconds": 0.1 * claim.count,
        "stage_seconds": STAGE_SECONDS,
        "environment": ENVIRONMENT,
        **({"rejected": dict.fromkeys(limits, 2 * claim.count)} if limits else {}),
    }
