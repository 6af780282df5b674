"""The training loop, in slices of any length: resumed, watched and stopped by its caller."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

import torch
from PIL import Image

from models.training.journal import contact_sheet
from models.training.run import Run
from models.training.trainer import Trainer


class Stopped(Exception):
    """A caller's ``report`` raises this to end a slice after the step at hand."""


@dataclass(frozen=True)
class Progress:
    """Where a run stands after a step. ``share`` of the budget is spent, in [0, 1]."""

    stage: str
    images: int
    seconds: float  # spent on training
    share: float
    images_per_second: float
    seconds_left: float


class Recorder(Protocol):
    """Takes what a run has to show: a journal in files, TensorBoard events, rows of a service."""

    def resume(self, images: int) -> None:
        """The run goes on after so many images: what was recorded of later ones is void."""

    def line(self, line: Mapping[str, float]) -> None:
        """Metrics: ``images`` and ``seconds`` so far, and means since the last line."""

    def sheet(self, images: int, sheet: Image.Image) -> None:
        """Samples drawn after so many images."""


def checkpoint_path(folder: Path, stage: str) -> Path:
    """Where a run of a stage keeps its checkpoint."""
    return folder / f"{stage}.safetensors"


def train(
    run: Run | Trainer,
    folder: Path,
    *,
    seconds: float | None = None,
    report: Callable[[Progress], None] | None = None,
    recorders: Sequence[Recorder] = (),
    line_seconds: float = 10,
    save_seconds: float = 120,
    sheet_seconds: float = 300,
) -> bool:
    """Train for ``seconds``, or until the budget is spent, and save.

    Goes on from the checkpoint in ``folder`` if there is one. However it is cut, and wherever it is
    killed, a run on a budget of images ends with the same weights, to the bit, on the same CPU. Of
    several processes that share a run, each calls this; the first one saves.

    Args:
        seconds: training time of this slice; the rest of the budget if None. A stage that may be
            collapsing goes on until that is settled, and is not saved meanwhile.
        report: called after each step. If it raises :class:`Stopped`, the run is saved as at the end
            of a slice; what else it raises comes out of here, and the last checkpoint stays.
        recorders: get lines and sheets at intervals of training time.

    Returns:
        Whether the budget is spent.

    Raises:
        CheckpointError: if the checkpoint is damaged or of other networks.
        Diverged: if the run has failed; the last checkpoint is from before.
    """
    checkpoint, budget = checkpoint_path(folder, run.stage), run.budget
    if checkpoint.exists():
        run.load(checkpoint)
    for recorder in recorders:
        recorder.resume(budget.images_spent)
    end = budget.seconds_spent + seconds if seconds is not None else float("inf")
    means = Means(run)
    stop = unsaved = False
    while budget.progress < 1 and not stop:
        before = budget.seconds_spent
        means.add(run.step())

        def due(every: float, before: float = before) -> bool:
            return before // every < budget.seconds_spent // every

        finished = budget.progress >= 1
        stop = run.team.any(_reported_stop(run, report))
        stop = stop or (budget.seconds_spent >= end and run.sound)
        unsaved = unsaved or stop or finished or due(save_seconds)
        saving = unsaved and (run.sound or finished)
        if saving or due(line_seconds):
            line = means.line()
            for recorder in recorders:
                recorder.line(line)
        if saving:
            if run.team.rank == 0:
                run.save(checkpoint)
            unsaved = False
        if recorders and (due(sheet_seconds) or finished):
            sheet = contact_sheet(run.samples(), run.sheet_columns)
            for recorder in recorders:
                recorder.sheet(budget.images_spent, sheet)
    run.team.wait()  # for the checkpoint to be whole
    return budget.progress >= 1


def _reported_stop(run: Run | Trainer, report: Callable[[Progress], None] | None) -> bool:
    if report is None:
        return False
    budget = run.budget
    try:
        report(
            Progress(
                stage=run.stage,
                images=budget.images_spent,
                seconds=budget.seconds_spent,
                share=budget.progress,
                images_per_second=budget.images_per_second,
                seconds_left=budget.seconds_left,
            )
        )
    except Stopped:
        return True
    return False


class Means:
    """Collects the values of each step; gives their means as one line at a time."""

    def __init__(self, run: Run | Trainer):
        self.run = run
        self._sums: dict[str, float] = {}
        self._counts: dict[str, int] = {}

    def add(self, values: Mapping[str, float]) -> None:
        """Count one step's values."""
        for name, value in values.items():
            self._sums[name] = self._sums.get(name, 0.0) + value
            self._counts[name] = self._counts.get(name, 0) + 1

    def line(self) -> dict[str, float]:
        """Where the run stands and the means since the last line."""
        budget = self.run.budget
        line = {
            "images": budget.images_spent,
            "seconds": round(budget.seconds_spent, 1),
            "images per second": round(budget.images_per_second, 3),
            "seconds left": round(budget.seconds_left, 1),
        }
        if self.run.device.gpu:
            device = self.run.device.name
            line["peak GPU bytes"] = torch.cuda.max_memory_allocated(device)
            torch.cuda.reset_peak_memory_stats(device)
        line |= {name: self._sums[name] / self._counts[name] for name in self._sums}
        self._sums, self._counts = {}, {}
        return line
