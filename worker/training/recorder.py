"""What a slice has to show of one stage: metrics, sheets of samples, TensorBoard events."""

import io
from collections.abc import Mapping
from importlib.util import find_spec
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from PIL import Image

from models.training.events import Events


class SliceRecorder:
    """Keeps lines and sheets, the sheets as PNG, and writes events to files in ``folder``.

    Use it in a ``with`` statement.
    """

    def __init__(self, folder: Path, stage: str) -> None:
        self.stage = stage
        self.lines: list[dict[str, Any]] = []
        self.sheets: list[tuple[int, bytes]] = []
        self._folder = folder
        # An extra: training needs it not.
        self._events = Events(folder, stage) if find_spec("tensorboard") else None

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        if self._events is not None:
            self._events.__exit__(kind, error, traceback)

    def resume(self, images: int) -> None:
        """The run goes on after so many images."""
        if self._events is not None:
            self._events.resume(images)

    def line(self, line: Mapping[str, float]) -> None:
        """Keep a line."""
        self.lines.append({"stage": self.stage, **line})
        if self._events is not None:
            self._events.line(line)

    def sheet(self, images: int, sheet: Image.Image) -> None:
        """Keep a sheet."""
        file = io.BytesIO()
        sheet.save(file, "PNG")
        self.sheets.append((images, file.getvalue()))
        if self._events is not None:
            self._events.sheet(images, sheet)

    def drop_after(self, images: int) -> None:
        """Forget lines and sheets of what the checkpoint does not hold.

        The events stay: the next slice's make theirs of later images void.
        """
        self.lines = [line for line in self.lines if line["images"] <= images]
        self.sheets = [sheet for sheet in self.sheets if sheet[0] <= images]

    @property
    def metrics(self) -> dict[str, float]:
        """The values of the last line."""
        last = self.lines[-1] if self.lines else {}
        return {name: value for name, value in last.items() if name not in _PLACE}

    @property
    def event_files(self) -> list[Path]:
        return sorted(path for path in self._folder.rglob("*") if path.is_file())


_PLACE = ("stage", "images", "seconds", "seconds left", "images per second")
