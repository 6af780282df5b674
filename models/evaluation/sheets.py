"""Picture sheets of a report: the pairs that come nearest to training pairs."""

from __future__ import annotations

import io
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from models.evaluation.neighbours import Neighbour
from models.evaluation.pair_arrays import PairArrays

SHOWN = 6
TILE = 224  # pixels
GAP = 6


def map_neighbour_sheet(
    synthetic: PairArrays, train: PairArrays, neighbours: Sequence[Neighbour]
) -> bytes:
    """The maps nearest to a training map: each drawn map, the training map laid on it, and both: white
    where they agree, red only drawn, blue only in training. PNG."""
    rows = []
    for i in _nearest(neighbours):
        ours = synthetic.labels[i]
        label = train.labels[neighbours[i].index][..., None] * np.uint8(255)
        theirs = neighbours[i].warp(label)[..., 0] > 127
        both = np.stack([ours, ours & theirs, theirs], axis=-1)
        rows.append([_grey(ours), _grey(theirs), both * np.uint8(255)])
    return sheet(rows)


def photo_neighbour_sheet(
    synthetic: PairArrays, train: PairArrays, neighbours: Sequence[Neighbour]
) -> bytes:
    """The photographs nearest to a training photograph: each drawn one, the training photograph laid on
    it, and half of both. PNG."""
    rows = []
    for i in _nearest(neighbours):
        ours, theirs = synthetic.photos[i], neighbours[i].warp(train.photos[neighbours[i].index])
        rows.append([ours, theirs, ((ours.astype(np.uint16) + theirs) // 2).astype(np.uint8)])
    return sheet(rows)


def sheet(rows: Sequence[Sequence[NDArray[np.uint8]]]) -> bytes:
    """Rows of pictures uint8 [S, S, 3] as one PNG on grey."""
    across, down = len(rows[0]), len(rows)
    page = Image.new("RGB", (across * (TILE + GAP) + GAP, down * (TILE + GAP) + GAP), "#808080")
    for y, row in enumerate(rows):
        for x, picture in enumerate(row):
            tile = Image.fromarray(picture).resize((TILE, TILE), Image.Resampling.LANCZOS)
            page.paste(tile, (GAP + x * (TILE + GAP), GAP + y * (TILE + GAP)))
    file = io.BytesIO()
    page.save(file, "png")
    return file.getvalue()


def _nearest(neighbours: Sequence[Neighbour]) -> list[int]:
    return [int(i) for i in np.argsort([-each.score for each in neighbours])[:SHOWN]]


def _grey(label: NDArray[np.bool_]) -> NDArray[np.uint8]:
    return np.repeat(label[..., None] * np.uint8(255), 3, axis=2)
