"""Metrics and sample sheets as event files for TensorBoard; needs the package ``tensorboard``."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Self

import numpy as np
from PIL import Image


class Events:
    """Records a run of one stage in ``folder/STAGE``; use it in a ``with`` statement.

    The axis is images. Each slice adds a file; TensorBoard hides what earlier files have of images
    after the checkpoint that a slice goes on from.

    Raises:
        ValueError: if the package is not installed.
    """

    def __init__(self, folder: Path, stage: str):
        try:
            from torch.utils.tensorboard import SummaryWriter
        except ImportError as error:
            raise ValueError(
                "TensorBoard files need the package tensorboard: pip install tensorboard"
            ) from error
        self.folder, self._writer_of = folder / stage, SummaryWriter
        self._writer: SummaryWriter | None = None

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        if self._writer:
            self._writer.close()

    def resume(self, images: int) -> None:
        """Begin a file that makes void what others have of later images."""
        self._writer = self._writer_of(str(self.folder), purge_step=images + 1)

    def line(self, line: Mapping[str, float]) -> None:
        """Add a point to each curve."""
        assert self._writer, "resume comes first"
        for name, value in line.items():
            if name != "images":
                self._writer.add_scalar(name.replace(" ", "_"), value, int(line["images"]))
        self._writer.flush()

    def sheet(self, images: int, sheet: Image.Image) -> None:
        """Add a sheet of samples."""
        assert self._writer, "resume comes first"
        self._writer.add_image("samples", np.asarray(sheet), images, dataformats="HWC")
        self._writer.flush()
