"""What a report says of where its figures come from, and which of them matter most."""

import platform
from collections.abc import Mapping
from importlib.metadata import version
from typing import Any

import torch

from app.jobs.tables import Job
from models.devices import Device
from models.evaluation.gather import LIBRARIES


def environment_of(device: Device) -> dict[str, Any]:
    """Library versions and machine of this worker."""
    return {
        **device.environment,
        **{name: version(name) for name in LIBRARIES},
        "system": f"{platform.system()} {platform.machine()}",
        "threads": torch.get_num_threads(),
    }


def facts_of(
    job: Job, order: Mapping[str, Any] | None, package: Mapping[str, Any] | None
) -> dict[str, Any]:
    """As :func:`models.evaluation.gather.describe` has them, and the ids of evaluation and upload.

    ``order`` is that of the data set, if it is one that is evaluated; ``package`` the model's
    package.json, if it is at hand.
    """
    request = job.request
    name, _, number = request["model"].partition("@")
    environment = dict(job.environment or {})
    libraries = {library: environment.pop(library) for library in LIBRARIES}
    return {
        "created": job.created_at.isoformat(timespec="seconds"),
        "evaluation": job.id,
        "model": {
            "name": name,
            "version": number,
            "digest": job.package_digest or None,
            "learned_from": package["training_data"]["name"] if package else None,
        },
        "order": None if order is None else {"dataset": request["dataset"], **order},
        "size": request["resolution"],
        "pairs": {
            "upload": request["upload"],
            "train": [pair["file"] for pair in request["train"]],
            "test": [pair["file"] for pair in request["hold_out"]],
            "synthetic": request["pairs"],
            "rendered": request["pairs"] if package else 0,
        },
        "libraries": libraries,
        "machine": environment,
    }


def summary_of(report: Mapping[str, Any]) -> dict[str, Any]:
    """The figures that matter most (app.evaluations.schemas.Summary); None of parts not asked for."""
    arms = report["useful"]["arms"] if report["useful"] else {}
    private, kid = report["private"], report["real"] and report["real"]["kid"]
    maps = private and private["maps"]
    return {
        "f1": {name: arm["in_field"]["f1"]["mean"] for name, arm in arms.items()},
        "synthetic_to_real": arms["synthetic"]["ratio"] if "synthetic" in arms else None,
        "kid": kid and (kid["generated_train"]["mean"] if "generated_train" in kid else None),
        "copies": maps and len(maps["copies"]),
        "nearer_to_training": maps and maps["nearer_to_training"]["generated"],
    }
