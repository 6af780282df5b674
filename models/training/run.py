"""What both stages have in common: a state that is saved and resumed exactly, and the loop."""

from __future__ import annotations

import signal
import threading
import time
from abc import ABC, abstractmethod
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn
from tqdm import tqdm

from models.devices import Device
from models.training.budget import Budget
from models.training.checkpoint import load_checkpoint, save_checkpoint
from models.training.journal import Journal


class Run(ABC):
    """One stage's training: its networks, optimisers, random state and budget."""

    stage: str  # names the files it leaves
    sheet_columns: int
    networks: dict[str, nn.Module]
    optimisers: dict[str, torch.optim.Optimizer]

    def __init__(self, budget: Budget, device: Device, seed: int):
        self.budget, self.device, self.steps = budget, device, 0
        # Data, noise and augmentation are drawn on the CPU from this one generator.
        self.random = torch.Generator().manual_seed(seed)
        torch.manual_seed(seed)

    @abstractmethod
    def step(self) -> dict[str, float]:
        """Update each network once and spend the budget; returns the values to log."""

    @abstractmethod
    def samples(self) -> Tensor:
        """A sheet's pictures, [N, 1 or 3, H, W] in [-1, 1]; leaves the run's state as it was."""

    def extra_state(self) -> dict[str, Any]:
        """What a stage keeps besides networks and counters; JSON values."""
        return {}

    def restore_extra_state(self, state: dict[str, Any]) -> None:  # noqa: B027
        """Take back what :meth:`extra_state` gave."""

    def set_learning_rate(self, optimiser: str, rate: float) -> None:
        self.optimisers[optimiser].param_groups[0]["lr"] = rate

    def save(self, path: Path) -> None:
        """Write a checkpoint that :meth:`load` goes on from exactly."""
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
        self.budget.resume()


def train(run: Run, folder: Path, save_seconds: float = 120, sheet_seconds: float = 300) -> bool:
    """Train until the budget is spent, or until SIGINT or SIGTERM, and save; resumes by itself.

    Leaves ``STAGE.safetensors`` (the checkpoint), ``STAGE.jsonl``, curves and sample sheets.

    Returns:
        Whether the budget is spent.
    """
    checkpoint = folder / f"{run.stage}.safetensors"
    journal = Journal(folder, run.stage)
    if checkpoint.exists():
        run.load(checkpoint)
        journal.cut(run.budget.images_spent)
    saved = drawn = time.monotonic()
    bar = tqdm(
        total=100.0,
        unit="%",
        desc=run.stage,
        bar_format="{desc} {percentage:3.0f}%|{bar}| {postfix}",
    )
    with _stop_on_signals() as stopped, bar:
        while run.budget.progress < 1 and not stopped.is_set():
            journal.add(run.step())
            bar.n = 100 * run.budget.progress
            rate = run.budget.images_spent / run.budget.seconds_spent
            left = run.budget.seconds_left / 60
            bar.set_postfix_str(
                f"{run.budget.images_spent} images, {rate:.1f}/s, {left:.0f} min left"
            )
            now = time.monotonic()
            if now - saved > save_seconds:
                journal.write(run.budget.images_spent, run.budget.seconds_spent)
                run.save(checkpoint)
                saved = now
            if now - drawn > sheet_seconds:
                journal.sheet(f"{run.budget.images_spent:08d}", run.samples(), run.sheet_columns)
                drawn = now
                run.budget.resume()
    journal.write(run.budget.images_spent, run.budget.seconds_spent)
    run.save(checkpoint)
    journal.sheet("last", run.samples(), run.sheet_columns)
    return run.budget.progress >= 1


@contextmanager
def _stop_on_signals() -> Iterator[threading.Event]:
    """An event that SIGINT and SIGTERM set, so that a run ends after a step and saves."""
    stopped = threading.Event()
    if threading.current_thread() is not threading.main_thread():
        yield stopped
        return
    before = {
        s: signal.signal(s, lambda *_: stopped.set()) for s in (signal.SIGINT, signal.SIGTERM)
    }
    try:
        yield stopped
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
