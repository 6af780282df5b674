"""What a run leaves to look at: a log line now and then, loss curves and sample sheets as PNG."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path

import numpy as np
import torch
from PIL import Image, ImageDraw
from torch import Tensor

COLOURS = ["#1f77b4", "#d62728", "#2ca02c", "#9467bd", "#ff7f0e", "#17becf", "#8c564b", "#7f7f7f"]


class Journal:
    """Collects the values of each step and writes their means as one JSON line at a time."""

    def __init__(self, folder: Path, stage: str):
        self.folder, self.stage = folder, stage
        self.folder.mkdir(parents=True, exist_ok=True)
        self.log = folder / f"{stage}.jsonl"
        self._sums: dict[str, float] = {}
        self._counts: dict[str, int] = {}

    def add(self, values: Mapping[str, float]) -> None:
        """Count one step's values."""
        for name, value in values.items():
            self._sums[name] = self._sums.get(name, 0.0) + value
            self._counts[name] = self._counts.get(name, 0) + 1

    def write(self, images: int, seconds: float) -> None:
        """Append the means since the last call, if there are any, and draw the curves anew."""
        if not self._sums:
            return
        means = {name: self._sums[name] / self._counts[name] for name in self._sums}
        self._sums, self._counts = {}, {}
        line = {"images": images, "seconds": round(seconds, 1), **means}
        with self.log.open("a") as file:
            file.write(json.dumps(line) + "\n")
        draw_curves(self.log, self.folder / f"{self.stage}-curves.png")

    def cut(self, images: int) -> None:
        """Drop lines from after a checkpoint that a run now resumes from."""
        if self.log.exists():
            lines = self.log.read_text().splitlines(keepends=True)
            self.log.write_text("".join(x for x in lines if json.loads(x)["images"] <= images))

    def sheet(self, name: str, pictures: Tensor, columns: int) -> None:
        """Write [N, 1 or 3, H, W] pictures in [-1, 1] as one PNG."""
        save_sheet(pictures, columns, self.folder / f"{self.stage}-{name}.png")


def save_sheet(pictures: Tensor, columns: int, path: Path) -> None:
    """Lay out [N, 1 or 3, H, W] pictures in [-1, 1], row by row, as one RGB PNG."""
    levels = ((pictures.float().clamp(-1, 1) + 1) * 127.5).round().to(torch.uint8).cpu()
    tiles = levels.expand(-1, 3, -1, -1).permute(0, 2, 3, 1).numpy()
    count, h, w, _ = tiles.shape
    sheet = np.zeros((-(-count // columns) * h, columns * w, 3), np.uint8)
    for i, picture in enumerate(tiles):
        row, column = divmod(i, columns)
        sheet[row * h : (row + 1) * h, column * w : (column + 1) * w] = picture
    Image.fromarray(sheet).save(path)


def draw_curves(log: Path, path: Path, width: int = 900, panel: int = 110) -> None:
    """Draw each value of a log over the images seen, one panel a value."""
    lines = [json.loads(line) for line in log.read_text().splitlines()]
    names = sorted({name for line in lines for name in line} - {"images", "seconds"})
    picture = Image.new("RGB", (width, panel * max(1, len(names))), "white")
    pen = ImageDraw.Draw(picture)
    for row, name in enumerate(names):
        points = [(line["images"], line[name]) for line in lines if name in line]
        xs, ys = np.array(points, dtype=float).T
        top, left, high, wide = row * panel + 18, 60, panel - 30, width - 75
        low, span = ys.min(), max(ys.max() - ys.min(), 1e-9)
        x = left + wide * (xs - xs[0]) / max(xs[-1] - xs[0], 1)
        y = top + high * (1 - (ys - low) / span)
        pen.rectangle((left, top, left + wide, top + high), outline="#cccccc")
        pen.line(list(zip(x, y, strict=True)), fill=COLOURS[row % len(COLOURS)], width=2)
        pen.text((left, top - 15), f"{name}: {ys[-1]:.4g} after {xs[-1]:.0f} images", fill="black")
        pen.text((4, top), f"{ys.max():.3g}", fill="#666666")
        pen.text((4, top + high - 10), f"{low:.3g}", fill="#666666")
    picture.save(path)
