"""Both stages of a training run, made from what a user asks for."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from models.devices import Device
from models.package import ModelPackage
from models.pairs import PairSet
from models.training.budget import Budget
from models.training.settings import SettingsError, StageOneSettings, StageTwoSettings
from models.training.stage_one import StageOne
from models.training.stage_two import StageTwo
from models.training.team import ALONE, Team


def make_stages(
    pairs: PairSet,
    resolution: int,
    device: Device,
    *,
    minutes: float | None = None,
    images: int | None = None,
    seed: int = 0,
    settings: Mapping[str, Mapping[str, Any]] | None = None,
    package: ModelPackage | None = None,
    team: Team = ALONE,
) -> tuple[StageOne, StageTwo]:
    """Both stages, before their first step.

    Args:
        pairs: at twice the resolution.
        resolution: side in pixels, a power of two.
        minutes: budget of each stage, or else ``images``.
        settings: chosen hyper-parameters by stage, ``{"vessel": {"batch": 16}}``; others have the
            device's defaults.
        package: what to start from, instead of from noise.
        team: the processes that share the work.

    Raises:
        TransferError: if the package's networks do not fit.
        SettingsError: if a hyper-parameter is unknown or out of bounds.
        ValueError: if the resolution or the budget cannot be.
    """
    settings = settings or {}
    for stage in settings:
        if stage not in (StageOneSettings.stage, StageTwoSettings.stage):
            raise SettingsError(f"{stage}: no such stage, use vessel or photo")
    first = StageOneSettings.choose(device.gpu, settings.get("vessel"))
    second = StageTwoSettings.choose(device.gpu, settings.get("photo"))
    if first.refining == 1 and not package:
        raise SettingsError(
            "vessel.refining: 1, must be less without a package to start from: the refiner would learn "
            "from maps that nobody has learned to draw"
        )
    one_budget, two_budget = Budget(minutes, images), Budget(minutes, images)
    one = StageOne(pairs, first.config(resolution), first, one_budget, device, seed, team)
    two = StageTwo(
        pairs, resolution, second.config(resolution), second, two_budget, device, seed, team
    )
    if package:
        one.start_from(package)
        two.start_from(package)
    return one, two
