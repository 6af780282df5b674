"""Both stages of a run, as its newest recorded slice has left them."""

import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from app.jobs.leases import Claim
from app.storage import Storage
from models.devices import Device
from models.package import ModelPackage
from models.pairs import PairSet
from models.training.budget import Budget
from models.training.loop import checkpoint_path
from models.training.run import Run
from models.training.stage_one import StageOne
from models.training.stage_two import StageTwo
from models.training.stages import make_stages

Result = dict[str, Any]  # of a slice, see app.jobs.runs

NOTHING: dict[str, Any] = {"images": 0, "seconds": 0.0, "checkpoint": None}


@dataclass(frozen=True)
class Stages:
    """Before a slice. The checkpoints to go on from lie in ``folder``."""

    one: StageOne
    two: StageTwo
    pairs: PairSet
    device: Device
    folder: Path

    def __iter__(self) -> Iterator[Run]:
        return iter((self.one, self.two))

    @property
    def settings(self) -> dict[str, dict[str, Any]]:
        """Every hyper-parameter."""
        return {run.stage: asdict(run.settings) for run in self}


@contextmanager
def open_stages(
    claim: Claim,
    newest: Result | None,
    pairs: PairSet,
    package: ModelPackage | None,
    device: Device,
    storage: Storage,
) -> Iterator[Stages]:
    """The stages of the claim's run, for as long as the block lasts.

    Hyper-parameters are those of its first slice: defaults may differ on another device.
    """
    request = claim.request
    one, two = make_stages(
        pairs,
        request["resolution"],
        device,
        **request["budget"],
        seed=request["seed"],
        settings=newest["settings"] if newest else request["settings"],
        package=package,
    )
    with TemporaryDirectory(prefix="fundusmith-") as name:
        stages = Stages(one, two, pairs, device, Path(name))
        for run in stages:
            key = standing(newest, run.stage)["checkpoint"]
            if key is not None:
                with checkpoint_path(stages.folder, run.stage).open("wb") as file:
                    file.writelines(storage.stream(key))
        yield stages


def standing(newest: Result | None, stage: str) -> dict[str, Any]:
    """What the stage has had by now, and its checkpoint."""
    return newest["stages"].get(stage, NOTHING) if newest else NOTHING


def trained_stages(request: dict[str, Any]) -> tuple[str, ...]:
    """Names of the stages that a run trains, in order."""
    return ("vessel", "photo") if request["stages"] == "both" else (request["stages"],)


def unspent_stages(request: dict[str, Any], newest: Result | None) -> list[str]:
    """Those of them whose budget, which a resumed run may have made larger, is not spent."""

    def progress(stage: str) -> float:
        now = standing(newest, stage)
        spent = {"seconds_spent": now["seconds"], "images_spent": now["images"]}
        return Budget(**request["budget"], **spent).progress

    return [stage for stage in trained_stages(request) if progress(stage) < 1]


def copy(source: Path, storage: Storage, key: str) -> str:
    """Store a file; returns the key."""
    with source.open("rb") as file, storage.write(key) as target:
        shutil.copyfileobj(file, target, 1 << 20)
    return key
