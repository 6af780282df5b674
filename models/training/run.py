"""What both stages have in common: networks, optimisers and counters, saved and resumed exactly."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from models.devices import Device
from models.package import ModelPackage
from models.training.budget import Budget
from models.training.checkpoint import CheckpointError, load_checkpoint, save_checkpoint
from models.training.divergence import refuse_values, refuse_weights
from models.training.settings import Settings
from models.training.team import Team
from models.training.transfer import Origin


class Run(ABC):
    """One stage's training: its networks, optimisers, random state and budget."""

    stage: str  # names the files it leaves
    sheet_columns: int
    settings: Settings
    networks: dict[str, nn.Module]
    optimisers: dict[str, torch.optim.Optimizer]

    def __init__(self, budget: Budget, device: Device, seed: int, team: Team):
        self.budget, self.device, self.seed, self.team = budget, device, seed, team
        self.steps = 0
        # Data, noise and augmentation are drawn on the CPU from this one generator. torch's own
        # generators give the first weights and nothing after, so no checkpoint holds them.
        self.origin: Origin | None = None
        self.random = torch.Generator().manual_seed(seed)
        torch.manual_seed(seed)

    @abstractmethod
    def start_from(self, package: ModelPackage) -> None:
        """Begin with the networks of a package.

        Raises:
            TransferError: if they do not fit this run's.
        """

    @abstractmethod
    def judge_as(self, checkpoint: Path) -> None:
        """Take over what judges from the run that the package was made of, as far as it fits.

        Raises:
            CheckpointError: if it is missing or damaged.
        """

    @abstractmethod
    def only_enlarge(self) -> None:
        """Leave what the package draws as it is, and learn to enlarge it.

        Raises:
            TransferError: if the package does not draw it all, or nothing is left to learn.
        """

    @abstractmethod
    def update(self) -> tuple[int, dict[str, float]]:
        """Update each network once; returns the images used by all processes, and values to log."""

    @abstractmethod
    def samples(self) -> Tensor:
        """A sheet's pictures, [N, 1 or 3, H, W] in [-1, 1]; leaves the run's state as it was."""

    @property
    def complete(self) -> bool:
        """Whether it can draw before its first step: all that it takes has come from a package."""
        return self.origin is not None

    @property
    def sound(self) -> bool:
        """Whether nothing speaks for a divergence that is not certain yet."""
        return True

    def refuse_collapse(self) -> None:  # noqa: B027
        """Raise Diverged if what is drawn has become useless."""

    def step(self) -> dict[str, float]:
        """Update each network once and spend the budget; returns the values to log.

        Raises:
            Diverged: if a loss is not finite, or the stage has collapsed.
        """
        self.budget.resume()
        images, values = self.update()
        values = self.team.means(values)
        self.steps += 1
        self.budget.spend(images, self.team.first(self.budget.elapsed()))
        refuse_values(self.stage, self.budget.images_spent, values)
        self.refuse_collapse()
        return values

    def extra_state(self) -> dict[str, Any]:
        """What a stage keeps besides networks and counters; JSON values."""
        return {}

    def restore_extra_state(self, state: dict[str, Any]) -> None:  # noqa: B027
        """Take back what :meth:`extra_state` gave."""

    def descend(
        self, optimiser: str, loss: Tensor, penalty: Callable[[], Tensor] | None = None
    ) -> None:
        """One step of an optimiser along the gradient of a loss, mean over the processes. A ``penalty`` is
        added to it, but computed when the memory of the loss is free again."""
        self.optimisers[optimiser].zero_grad(set_to_none=True)
        loss.backward()  # type: ignore[no-untyped-call]
        if penalty:
            penalty().backward()  # type: ignore[no-untyped-call]
        self.team.average_gradients(self.optimisers[optimiser])
        self.optimisers[optimiser].step()

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
            "origin": asdict(self.origin) if self.origin else None,
        }
        save_checkpoint(path, self.networks, self.optimisers, self.random, counters)

    def load(self, path: Path) -> None:
        """Go on from a checkpoint; the budget may be larger than it was.

        Raises:
            CheckpointError: if the file is damaged, of other networks, or of a run that has started
                from another package than this one.
        """
        counters = load_checkpoint(path, self.networks, self.optimisers, self.random)
        origin = Origin(**counters["origin"]) if counters.get("origin") else None
        if self.origin and self.origin != origin:
            raise CheckpointError(
                f"{path}: has started from {origin.model if origin else 'noise'}, not from "
                f"{self.origin.model}: use another folder"
            )
        self.origin, self.steps = origin, counters["steps"]
        self.restore_extra_state(counters["extra"])
        self.budget.seconds_spent = counters["seconds_spent"]
        self.budget.images_spent = counters["images_spent"]
