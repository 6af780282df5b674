"""Training for one slice: from the checkpoints of the newest recorded one to checkpoints of its own."""

import json
from collections.abc import Callable
from typing import Any

from app.storage import Storage
from models.training.divergence import Diverged
from models.training.loop import Progress, Stopped, checkpoint_path, train
from models.training.run import Run
from worker.heartbeat import Interrupted
from worker.metrics import TRAINING_IMAGES
from worker.training.recorder import SliceRecorder
from worker.training.stages import Result, Stages, copy, standing

Report = Callable[[int, dict[str, Any] | None], None]


class SliceTraining:
    """The work of one attempt at one slice. What it stores has keys that begin with ``prefix``."""

    def __init__(
        self,
        stages: Stages,
        newest: Result | None,
        storage: Storage,
        prefix: str,
        report: Report,
    ) -> None:
        self._stages = stages
        self._newest = newest
        self._storage = storage
        self._prefix = prefix
        self._report = report
        self._images = 0  # of the stages that this slice is through with
        self._places = dict(newest["stages"]) if newest else {}
        self._lines: list[dict[str, Any]] = []
        self._sheets: list[dict[str, Any]] = []
        self._events: list[dict[str, str]] = []
        self._error: dict[str, str] | None = None

    def train(self, unspent: list[str], seconds: float) -> Result:
        """Train these stages for ``seconds`` together; returns what the result says of it.

        A report that interrupts the work while the lease is held ends it early, with a checkpoint.

        Raises:
            Interrupted: the lease is lost.
        """
        left = list(unspent)
        for run in self._stages:
            if run.stage in left and seconds > 0:
                before = standing(self._newest, run.stage)["seconds"]
                if not self._train(run, seconds):
                    break
                left.remove(run.stage)
                seconds -= self._places[run.stage]["seconds"] - before
        return {
            "images": self._images,
            "stages": self._places,
            "spent": not left,
            "metrics": self._store_metrics(),
            "sheets": self._sheets,
            "events": self._events,
            "error": self._error,
        }

    def _train(self, run: Run, seconds: float) -> bool:
        """Train one stage; whether its budget is spent."""
        folder, before = self._stages.folder, standing(self._newest, run.stage)
        with SliceRecorder(folder / f"{run.stage}-events", run.stage) as recorder:
            counted = before["images"]

            def watch(now: Progress) -> None:
                nonlocal counted
                TRAINING_IMAGES.labels(run.stage).inc(now.images - counted)
                counted = now.images
                live = _live(now, recorder)
                try:
                    self._report(self._images + now.images - before["images"], live)
                except Interrupted as interruption:
                    if not interruption.release:
                        raise
                    raise Stopped from None

            finished = False
            try:
                finished = train(run, folder, seconds=seconds, report=watch, recorders=[recorder])
            except Diverged as error:
                self._error = {"code": "diverged", "detail": str(error)}
        self._keep(run, recorder, before, finished)
        return finished

    def _keep(
        self, run: Run, recorder: SliceRecorder, before: dict[str, Any], finished: bool
    ) -> None:
        """Store the checkpoint, if there is a new one, and what was recorded up to it."""
        checkpoint = checkpoint_path(self._stages.folder, run.stage)
        place = before
        if checkpoint.exists():
            if not finished:
                run.load(checkpoint)  # it may be from before what was trained last
            if run.budget.images_spent > before["images"]:
                place = {
                    "images": run.budget.images_spent,
                    "seconds": run.budget.seconds_spent,
                    "checkpoint": copy(
                        checkpoint, self._storage, f"{self._prefix}{checkpoint.name}"
                    ),
                }
        self._places[run.stage] = place
        self._images += place["images"] - before["images"]
        recorder.drop_after(place["images"])
        self._lines += recorder.lines
        for images, png in recorder.sheets:
            key = f"{self._prefix}{run.stage}-{images:09d}.png"
            with self._storage.write(key) as file:
                file.write(png)
            self._sheets.append({"stage": run.stage, "images": images, "key": key})
        for number, path in enumerate(recorder.event_files):
            key = f"{self._prefix}{run.stage}-{number}.tfevents"
            self._events.append({"stage": run.stage, "key": copy(path, self._storage, key)})

    def _store_metrics(self) -> str | None:
        if not self._lines:
            return None
        key = f"{self._prefix}metrics.jsonl"
        with self._storage.write(key) as file:
            file.writelines(json.dumps(line).encode() + b"\n" for line in self._lines)
        return key


def _live(now: Progress, recorder: SliceRecorder) -> dict[str, Any]:
    return {
        "stage": now.stage,
        "images": now.images,
        "seconds": round(now.seconds, 1),
        "images_per_second": round(now.images_per_second, 3),
        "seconds_left": round(now.seconds_left, 1),
        "metrics": recorder.metrics,
    }
