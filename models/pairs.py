"""Real pairs from a folder: photographs with the vessel map a person drew on each.

Two layouts are recognised: ``images/`` and ``labels/`` (or ``1st_manual/``), partners found by the
start of the name (``Image_01L.jpg`` and ``Image_01L_1stHO.png``); ``masks/`` or ``mask/`` may give
the field of view, otherwise a circle is fitted to the photograph.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image, UnidentifiedImageError
from torch import Tensor

from models.field_of_view import FieldOfView, find_field_of_view

PICTURES = {".jpg", ".jpeg", ".png", ".tif", ".tiff", ".ppm", ".gif"}


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


def _pictures(folder: Path) -> list[Path]:
    return sorted(p for p in folder.iterdir() if p.suffix.lower() in PICTURES)


def _first_folder(root: Path, *names: str) -> Path | None:
    return next((root / name for name in names if (root / name).is_dir()), None)


def find_pairs(root: Path, first: int | None = None) -> list[PairFiles]:
    """List the pairs of a folder in name order, the ``first`` of them if given.

    Raises:
        PairError: if a folder or a partner is missing; names which.
    """
    images, labels = _first_folder(root, "images"), _first_folder(root, "labels", "1st_manual")
    if images is None or labels is None:
        raise PairError(f"{root}: expected folders images/ and labels/ (or 1st_manual/)")
    masks = _first_folder(root, "masks", "mask")
    pairs = []
    for photo in _pictures(images)[:first]:
        label = _partner(photo, labels)
        if label is None:
            raise PairError(
                f"{photo.name}: no label in {labels.name}/ whose name starts with {photo.stem}"
            )
        pairs.append(PairFiles(photo, label, _partner(photo, masks) if masks else None))
    if len(pairs) < (first or 1):
        raise PairError(f"{images}: {len(pairs)} photographs found, {first or 1} wanted")
    return pairs


def _partner(photo: Path, folder: Path) -> Path | None:
    # DRIVE names its partners 21_training.tif, 21_manual1.gif, 21_training_mask.gif.
    number = re.sub(r"_(training|validation|test)$", "", photo.stem)
    found = [
        p for p in _pictures(folder) if p.stem == photo.stem or p.stem.startswith(f"{number}_")
    ]
    return found[0] if found else None


def _read(path: Path, mode: str) -> NDArray[np.uint8]:
    try:
        with Image.open(path) as picture:
            return np.asarray(picture.convert(mode))
    except (OSError, UnidentifiedImageError) as error:
        raise PairError(f"{path.name}: not a readable picture ({error})") from error


def _square(picture: NDArray[np.uint8]) -> NDArray[np.uint8]:
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
    photos, vessels, fields = [], [], []
    for pair in files:
        photo, label = _read(pair.photo, "RGB"), _read(pair.label, "L")
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
        photo, label = _square(photo), _square(label)
        try:
            lit = photo if pair.mask is None else _square(_read(pair.mask, "RGB"))
            fields.append(find_field_of_view(lit))
        except ValueError as error:
            raise PairError(f"{(pair.mask or pair.photo).name}: {error}") from error
        photos.append(_resample(photo, size))
        vessels.append(_resample(label, size))
    return PairSet(
        names=tuple(pair.photo.name for pair in files),
        photos=torch.from_numpy(np.stack(photos)).permute(0, 3, 1, 2).contiguous(),
        vessels=torch.from_numpy(np.stack(vessels))[:, None],
        fields=tuple(fields),
    )


def _resample(picture: NDArray[np.uint8], size: int) -> NDArray[np.uint8]:
    return np.asarray(Image.fromarray(picture).resize((size, size), Image.Resampling.BOX))
