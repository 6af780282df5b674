"""Tiny runs for tests, and what happens to them in processes of their own."""

import os
import signal
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import torch

from models.devices import Device
from models.pairs import find_pairs, load_pairs
from models.training.budget import Budget
from models.training.journal import Journal
from models.training.loop import train
from models.training.settings import StageOneSettings, StageTwoSettings
from models.training.stage_one import StageOne
from models.training.stage_two import StageTwo
from models.translator import TranslatorConfig
from models.vessel_gan import VesselConfig


@contextmanager
def threads(count: int) -> Iterator[None]:
    """torch's, for a while."""
    before = torch.get_num_threads()
    torch.set_num_threads(count)
    try:
        yield
    finally:
        torch.set_num_threads(before)


def stage_one(pairs, images=256, seed=0):
    config = VesselConfig((8, 8, 8, 8), latent=8)
    return StageOne(
        pairs, config, StageOneSettings(), Budget(images=images), Device.choose("cpu"), seed
    )


def stage_two(pairs, images=32, seed=0, **settings):
    config = TranslatorConfig((4, 8), blocks=1, style=4, shares=True)
    device = Device.choose("cpu")
    budget = Budget(images=images)
    return StageTwo(pairs, 64, config, StageTwoSettings(**settings), budget, device, seed)


def weights(run):
    return {
        f"{name}.{key}": value.clone()
        for name, network in run.networks.items()
        for key, value in network.state_dict().items()
    }


def train_until_killed(pair_folder: Path, folder: Path, images: int, at: int) -> None:
    """Train stage one with a checkpoint after nearly each step; die by SIGKILL after ``at`` images."""

    def report(now):
        if now.images >= at:
            os.kill(os.getpid(), signal.SIGKILL)

    run = stage_one(load_pairs(find_pairs(pair_folder), 64), images)
    journal = Journal(folder, run.stage)
    train(run, folder, report=report, recorders=[journal], line_seconds=0.001, save_seconds=0.05)
