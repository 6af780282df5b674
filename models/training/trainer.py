"""One stage's training: its networks, optimisers, random state and budget; saved and resumed exactly."""

from __future__ import annotations

import copy
import hashlib
import json
from abc import ABC, abstractmethod
from dataclasses import asdict
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from models.data.photographs import PhotographSet
from models.devices import Device
from models.training.budget import Budget
from models.training.checkpoint import CheckpointError, load_checkpoint, save_checkpoint
from models.training.divergence import refuse_values, refuse_weights
from models.training.team import ALONE, Team


class Trainer(ABC):
    """Base of the stages' trainers.

    Data, noise and augmentation are drawn on the CPU from one generator, ``random``; torch's own generators
    give the first weights and nothing after, so that no checkpoint holds them.
    """

    stage: str  # names the files it leaves
    sheet_columns: int
    settings: Any  # a dataclass
    networks: dict[str, nn.Module]
    optimisers: dict[str, torch.optim.Optimizer]

    def __init__(self, data: PhotographSet, budget: Budget, device: Device, seed: int = 0):
        self.data, self.budget, self.device, self.seed = data, budget, device, seed
        self.team: Team = ALONE
        self.sound = True
        self.steps = 0
        self.random = torch.Generator().manual_seed(seed)
        torch.manual_seed(seed)
        self._data_digest = digest_of(data)

    @abstractmethod
    def update(self) -> tuple[int, dict[str, float]]:
        """Update each network once; returns the number of images used, and values to log."""

    @abstractmethod
    def samples(self) -> Tensor:
        """A sheet's pictures, [N, 1 or 3, H, W] in [-1, 1]; leaves the state as it was."""

    def extra_state(self) -> dict[str, Any]:
        """What a stage keeps besides networks and counters; JSON values."""
        return {}

    def restore_extra_state(self, state: dict[str, Any]) -> None:  # noqa: B027
        """Take back what :meth:`extra_state` gave."""

    def step(self) -> dict[str, float]:
        """Update each network once and spend the budget; returns the values to log.

        Raises:
            Diverged: if a loss is not finite.
        """
        self.budget.resume()
        images, values = self.update()
        self.steps += 1
        self.budget.spend(images, self.budget.elapsed())
        refuse_values(self.stage, self.budget.images_spent, values)
        return values

    def optimizer_step(self, optimiser: str, loss: Tensor) -> None:
        """One step along the gradient of a loss."""
        self.optimisers[optimiser].zero_grad(set_to_none=True)
        loss.backward()  # type: ignore[no-untyped-call]
        self.optimisers[optimiser].step()

    def set_learning_rate(self, optimiser: str, rate: float) -> None:
        for group in self.optimisers[optimiser].param_groups:
            group["lr"] = rate

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
            "settings": asdict(self.settings),
            "data": self._data_digest,
            "extra": self.extra_state(),
        }
        save_checkpoint(path, self.networks, self.optimisers, self.random, counters)

    def load(self, path: Path) -> None:
        """Go on from a checkpoint; the budget may be larger than it was.

        Raises:
            CheckpointError: if the file is damaged, of other networks, or of a run with other settings or
                data.
        """
        counters = load_checkpoint(path, self.networks, self.optimisers, self.random)
        ours = json.loads(json.dumps(asdict(self.settings)))
        differing = sorted(
            name
            for name in ours.keys() | counters["settings"].keys()
            if ours.get(name) != counters["settings"].get(name)
        )
        if differing:
            raise CheckpointError(
                f"{path}: was trained with other settings ({', '.join(differing)}): use these, or another folder"
            )
        if counters["data"] != self._data_digest:
            raise CheckpointError(
                f"{path}: was trained on other data: use these, or another folder"
            )
        self.steps = counters["steps"]
        self.restore_extra_state(counters.get("extra") or {})
        self.budget.seconds_spent = counters["seconds_spent"]
        self.budget.images_spent = counters["images_spent"]


def digest_of(data: PhotographSet) -> str:
    """SHA-256 of all that a training sees of its data."""
    digest = hashlib.sha256()
    for tensor in (data.photographs, data.maps, data.known, data.fields, data.traced):
        digest.update(tensor.contiguous().numpy().tobytes())
    return digest.hexdigest()


def ema_of(network: nn.Module) -> nn.Module:
    """A copy to average weights into."""
    return copy.deepcopy(network).eval().requires_grad_(False)


def update_ema(ema: nn.Module, network: nn.Module, decay: float) -> None:
    """Move the averaged weights towards a network's; buffers are copied."""
    with torch.no_grad():
        for mean, value in zip(ema.parameters(), network.parameters(), strict=True):
            mean.lerp_(value, 1 - decay)
        for copied, buffer in zip(ema.buffers(), network.buffers(), strict=True):
            copied.copy_(buffer)
