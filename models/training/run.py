"""What both stages have in common: networks, optimisers and counters, saved and resumed exactly."""

from __future__ import annotations

from abc import ABC, abstractmethod
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from models.devices import Device
from models.training.budget import Budget
from models.training.checkpoint import load_checkpoint, save_checkpoint
from models.training.divergence import refuse_values, refuse_weights
from models.training.settings import Settings


class Run(ABC):
    """One stage's training: its networks, optimisers, random state and budget."""

    stage: str  # names the files it leaves
    sheet_columns: int
    settings: Settings
    networks: dict[str, nn.Module]
    optimisers: dict[str, torch.optim.Optimizer]

    def __init__(self, budget: Budget, device: Device, seed: int):
        self.budget, self.device, self.seed, self.steps = budget, device, seed, 0
        # Data, noise and augmentation are drawn on the CPU from this one generator. torch's own
        # generators give the first weights and nothing after, so no checkpoint holds them.
        self.random = torch.Generator().manual_seed(seed)
        torch.manual_seed(seed)

    @abstractmethod
    def update(self) -> tuple[int, dict[str, float]]:
        """Update each network once; returns the images used and the values to log."""

    @abstractmethod
    def samples(self) -> Tensor:
        """A sheet's pictures, [N, 1 or 3, H, W] in [-1, 1]; leaves the run's state as it was."""

    @property
    def sound(self) -> bool:
        """Whether nothing speaks for a divergence that is not certain yet."""
        return True

    def step(self) -> dict[str, float]:
        """Update each network once and spend the budget; returns the values to log.

        Raises:
            Diverged: if a loss is not finite, or the stage has collapsed.
        """
        self.budget.resume()
        images, values = self.update()
        self.steps += 1
        self.budget.spend(images, self.budget.elapsed())
        refuse_values(self.stage, self.budget.images_spent, values)
        return values

    def extra_state(self) -> dict[str, Any]:
        """What a stage keeps besides networks and counters; JSON values."""
        return {}

    def restore_extra_state(self, state: dict[str, Any]) -> None:  # noqa: B027
        """Take back what :meth:`extra_state` gave."""

    def set_learning_rate(self, optimiser: str, rate: float) -> None:
        self.optimisers[optimiser].param_groups[0]["lr"] = rate

    def save(self, path: Path) -> None:
        """Write a checkpoint that :meth:`load` goes on from exactly.

        Raises:
            Diverged: if a weight is not finite; the file is then as it was.
        """
        refuse_weights(self.stage, self.budget.images_spent, self.networks)
        counters = {
            "steps": self.steps,
            "seconds_spent": self.budget.seconds_spent,
            "images_spent": self.budget.images_spent,
            "extra": self.extra_state(),
        }
        save_checkpoint(path, self.networks, self.optimisers, self.random, counters)

    def load(self, path: Path) -> None:
        """Go on from a checkpoint; the budget may be larger than it was.

        Raises:
            CheckpointError: if the file is damaged or of other networks.
        """
        counters = load_checkpoint(path, self.networks, self.optimisers, self.random)
        self.steps = counters["steps"]
        self.restore_extra_state(counters["extra"])
        self.budget.seconds_spent = counters["seconds_spent"]
        self.budget.images_spent = counters["images_spent"]
