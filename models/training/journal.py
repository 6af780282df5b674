"""What a run leaves to look at: a log line now and then, loss curves and sample sheets as PNG."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from pathlib import Path

import numpy as np
import torch
from PIL import Image, ImageDraw
from torch import Tensor

COLOURS = ["#1f77b4", "#d62728", "#2ca02c", "#9467bd", "#ff7f0e", "#17becf", "#8c564b", "#7f7f7f"]


class Journal:
    """Keeps a run's metrics as JSON lines and its sheets and loss curves as PNG, in one folder."""

    def __init__(self, folder: Path, stage: str):
        self.folder, self.stage = folder, stage
        self.folder.mkdir(parents=True, exist_ok=True)
        self.log = folder / f"{stage}.jsonl"

    def resume(self, images: int) -> None:
        """Drop lines and sheets from after the checkpoint that the run goes on from."""
        if self.log.exists():
            # A process that was killed may have left half a line.
            lines = [x for x in self.log.read_text().splitlines(keepends=True) if x.endswith("\n")]
            partial = self.log.with_suffix(".partial")
            partial.write_text("".join(x for x in lines if json.loads(x)["images"] <= images))
            os.replace(partial, self.log)
        for path in self.folder.glob(f"{self.stage}-*.png"):
            number = path.stem.removeprefix(f"{self.stage}-")
            if number.isdigit() and int(number) > images:
                path.unlink()

    def line(self, line: Mapping[str, float]) -> None:
        """Append a line."""
        with self.log.open("a") as file:
            file.write(json.dumps(line) + "\n")

    def sheet(self, images: int, sheet: Image.Image) -> None:
        """Keep a sheet, by its number of images and as the last, and draw the curves anew."""
        for name in (f"{images:08d}", "last"):
            sheet.save(self.folder / f"{self.stage}-{name}.png")
        if self.log.exists():
            draw_curves(self.log, self.folder / f"{self.stage}-curves.png")


def contact_sheet(pictures: Tensor, columns: int) -> Image.Image:
    """Lay out [N, 1 or 3, H, W] pictures in [-1, 1], row by row, as one RGB picture."""
    levels = ((pictures.float().clamp(-1, 1) + 1) * 127.5).round().to(torch.uint8).cpu()
    tiles = levels.expand(-1, 3, -1, -1).permute(0, 2, 3, 1).numpy()
    count, h, w, _ = tiles.shape
    sheet = np.zeros((-(-count // columns) * h, columns * w, 3), np.uint8)
    for i, picture in enumerate(tiles):
        row, column = divmod(i, columns)
        sheet[row * h : (row + 1) * h, column * w : (column + 1) * w] = picture
    return Image.fromarray(sheet)


def draw_curves(log: Path, path: Path, width: int = 900, panel: int = 110) -> None:
    """Draw each value of a log over the images seen, one panel a value."""
    lines = [json.loads(line) for line in log.read_text().splitlines()]
    names = sorted(
        {name for line in lines for name in line} - {"images", "seconds", "seconds left"}
    )
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
