"""What a run keeps on disk, so that it goes on where it was stopped."""

from __future__ import annotations

import fcntl
import json
import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import asdict, fields
from pathlib import Path
from typing import Any

import numpy as np

from models.evaluation.html import to_html
from models.evaluation.pair_arrays import EvaluationData, PairArrays
from models.evaluation.report import build_report
from models.evaluation.results import StepResult
from models.evaluation.settings import EvaluationSettings

ASKED, PAIRS, REPORT, PAGE = "asked.json", "pairs.npz", "report.json", "report.html"


class RunFolder:
    """A folder with what was asked, the pairs, the result of each finished step, and the report.

    Raises:
        ValueError: if the folder holds a run that was asked for something else.
    """

    def __init__(self, folder: Path, asked: Mapping[str, Any]):
        self.folder = folder
        (folder / "steps").mkdir(parents=True, exist_ok=True)
        path = folder / ASKED
        if path.exists() and (before := _asked_before(path)) != asked:
            other = [name for name in asked if before.get(name) != asked[name]]
            raise ValueError(
                f"{folder}: a run with another {' and '.join(other)} was begun here; name another folder"
            )
        _write(path, json.dumps(asked, indent=2).encode())

    @contextmanager
    def taken(self, what: str, wait: bool = False) -> Iterator[bool]:
        """Take a step, or the pairs, for this process alone; whether it is ours.

        False if another process on this folder has it, unless asked to ``wait`` for that one. It is
        free again when its process ends, whatever the way.
        """
        with self._of(what).with_suffix(".lock").open("w") as file:
            try:
                fcntl.flock(file, fcntl.LOCK_EX if wait else fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                yield False
            else:
                yield True

    def pairs(self) -> EvaluationData | None:
        """The pairs, if they were kept."""
        path = self.folder / PAIRS
        if not path.exists():
            return None
        with np.load(path) as kept:
            sets = [
                PairArrays(
                    tuple(kept[f"{which.name}.names"].tolist()),
                    *(kept[f"{which.name}.{part.name}"] for part in fields(PairArrays)[1:]),
                )
                if f"{which.name}.names" in kept
                else None
                for which in fields(EvaluationData)
            ]
        return EvaluationData(*sets)  # type: ignore[arg-type]  # only the last may be None

    def keep_pairs(self, data: EvaluationData) -> None:
        """Keep the pairs: drawing them again may take minutes."""
        arrays = {
            f"{which.name}.{part.name}": np.asarray(getattr(pairs, part.name))
            for which in fields(data)
            if (pairs := getattr(data, which.name)) is not None
            for part in fields(pairs)
        }
        partial = self.folder / f"partial-{PAIRS}"
        np.savez(partial, allow_pickle=False, **arrays)
        os.replace(partial, self.folder / PAIRS)

    def result(self, step: str) -> StepResult | None:
        """What a finished step has left; None if it is still to be taken."""
        folder = self._of(step)
        try:
            values = json.loads((folder / "values.json").read_text())
        except FileNotFoundError:
            return None
        return StepResult(values, {path.name: path.read_bytes() for path in folder.glob("*.png")})

    def keep(self, step: str, result: StepResult) -> None:
        """Keep what a step has left; its values last, which say that it is whole."""
        folder = self._of(step)
        folder.mkdir(exist_ok=True)
        for name, picture in result.pictures.items():
            _write(folder / name, picture)
        _write(folder / "values.json", json.dumps(result.values).encode())

    def write_report(
        self,
        settings: EvaluationSettings,
        facts: Mapping[str, Any],
        results: Mapping[str, StepResult],
        pictures: bool,
    ) -> None:
        """Write report.json and report.html, the latter with ``pictures`` or without."""
        report = build_report(settings, facts, results)
        shown = {name: png for result in results.values() for name, png in result.pictures.items()}
        _write(self.folder / REPORT, json.dumps(report, indent=1).encode() + b"\n")
        _write(self.folder / PAGE, to_html(report, shown if pictures else {}).encode())

    def _of(self, step: str) -> Path:
        return self.folder / "steps" / step.replace(":", "-")


def _asked_before(path: Path) -> dict[str, Any]:
    before = json.loads(path.read_text())
    # What an older version did not know, it did as it is done now by default.
    before["settings"] = asdict(EvaluationSettings()) | before["settings"]
    return before


def _write(path: Path, content: bytes) -> None:
    """Write a file whole or not at all."""
    partial = path.with_name(f"{path.name}.{os.getpid()}.partial")
    partial.write_bytes(content)
    os.replace(partial, path)
