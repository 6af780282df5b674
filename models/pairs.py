"""Real pairs from a folder: photographs with the vessel map a person drew on each.

Partners are found by their names (see :mod:`models.layouts`). A mask, if there is one, gives the field
of view; otherwise a circle is fitted to the photograph.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image, UnidentifiedImageError
from torch import Tensor

from models.data.field_of_view import FieldOfView, find_field_of_view, fit_mask
from models.layouts import recognise_pairs


class PairError(ValueError):
    """A folder of pairs that cannot be trained on; the message names the file."""


@dataclass(frozen=True)
class PairFiles:
    """Where one pair lies."""

    photo: Path
    label: Path
    mask: Path | None


@dataclass(frozen=True)
class PairSet:
    """Pairs as tensors of one square size S, padded to a square, then resampled by area.

    photos: uint8 [N, 3, S, S], RGB. vessels: uint8 [N, 1, S, S], 255 times the share of the pixel
    that is vessel. fields: the round field of view of each.
    """

    names: tuple[str, ...]
    photos: Tensor
    vessels: Tensor
    fields: tuple[FieldOfView, ...]

    def __len__(self) -> int:
        return len(self.names)


def find_pairs(root: Path, first: int | None = None) -> list[PairFiles]:
    """List the pairs of a folder in name order, the ``first`` of them if given.

    Raises:
        PairError: if no pairs are found, or a photograph among them has no label; names which.
    """
    found = recognise_pairs(p.relative_to(root).as_posix() for p in root.rglob("*") if p.is_file())
    if not found.pairs:
        raise PairError(f"{root}: no pairs found, expected images/ and labels/ (or 1st_manual/)")
    pairs = {pair.photo: pair for pair in found.pairs}
    photos = sorted([*pairs, *found.photos_alone])[:first]
    for name in photos:
        if name not in pairs:
            raise PairError(f"{name}: no label whose name starts as the photograph's does")
    if len(photos) < (first or 1):
        raise PairError(f"{root}: {len(photos)} photographs found, {first} wanted")
    return [
        PairFiles(root / pair.photo, root / pair.label, root / pair.mask if pair.mask else None)
        for pair in (pairs[name] for name in photos)
    ]


def read_picture(path: Path, mode: str) -> NDArray[np.uint8]:
    """Decode a picture; [H, W, 3] for the mode RGB, [H, W] for L.

    Raises:
        PairError: if it is unreadable; names the file.
    """
    try:
        with Image.open(path) as picture:
            return np.asarray(picture.convert(mode))
    except (OSError, UnidentifiedImageError) as error:
        raise PairError(f"{path.name}: not a readable picture ({error})") from error


def pad_to_square(picture: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """Pad with black to a square, the picture in the middle."""
    h, w = picture.shape[:2]
    side = max(h, w)
    top, left = (side - h) // 2, (side - w) // 2
    padding = [(top, side - h - top), (left, side - w - left)] + [(0, 0)] * (picture.ndim - 2)
    return np.pad(picture, padding)


def load_pairs(files: list[PairFiles], size: int) -> PairSet:
    """Read pairs into memory at ``size`` pixels.

    Raises:
        PairError: if a file is unreadable, a label's size is not its photograph's, a label is empty,
            or no field of view is found.
    """
    # Each into its place: a list to be stacked and turned takes three times the memory.
    photos = np.empty((len(files), 3, size, size), np.uint8)
    vessels = np.empty((len(files), 1, size, size), np.uint8)
    fields = []
    for i, pair in enumerate(files):
        photo, label = read_picture(pair.photo, "RGB"), read_picture(pair.label, "L")
        if photo.shape[:2] != label.shape:
            raise PairError(
                f"{pair.label.name}: {label.shape[1]} x {label.shape[0]} pixels, its photograph has "
                f"{photo.shape[1]} x {photo.shape[0]}"
            )
        if label.max() == label.min():
            raise PairError(f"{pair.label.name}: one value only, expected vessels and background")
        label = np.where(label > (int(label.max()) + int(label.min())) // 2, 255, 0).astype(
            np.uint8
        )
        try:
            if pair.mask is None:
                fields.append(find_field_of_view(photo).field)
            else:
                fields.append(fit_mask(read_picture(pair.mask, "L") > 127))
        except ValueError as error:
            raise PairError(f"{(pair.mask or pair.photo).name}: {error}") from error
        photos[i] = resample(pad_to_square(photo), size).transpose(2, 0, 1)
        vessels[i, 0] = resample(pad_to_square(label), size)
    return PairSet(
        names=tuple(pair.photo.name for pair in files),
        photos=torch.from_numpy(photos),
        vessels=torch.from_numpy(vessels),
        fields=tuple(fields),
    )


def resample(picture: NDArray[np.uint8], size: int) -> NDArray[np.uint8]:
    return np.asarray(Image.fromarray(picture).resize((size, size), Image.Resampling.BOX))
