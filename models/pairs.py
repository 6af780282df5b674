"""Real pairs from a folder: photographs with the vessel map that a person drew on each.

Partners are found by their names (see :mod:`models.data.layouts`), and read as the service reads an upload
(see :mod:`models.data.reading`). A mask gives the field of view; otherwise it is found in the photograph.
"""

from __future__ import annotations

import logging
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image
from torch import Tensor

from models.data.decoding import PictureFault
from models.data.field_of_view import FieldOfView, fit_mask
from models.data.labels import LabelOptions
from models.data.layouts import PairNames, Recognised, advice, recognise_pairs
from models.data.reading import RealPair, read_pair

logger = logging.getLogger(__name__)


class PairError(ValueError):
    """A folder of pairs that cannot be trained on; the message names the file."""


@dataclass(frozen=True)
class PairFiles:
    """Where one pair lies."""

    photo: Path
    label: Path
    mask: Path | None
    label_may_be_field: bool = False


@dataclass(frozen=True)
class PairSet:
    """Pairs as tensors of one square size S, padded to a square, then resampled by area.

    photos: uint8 [N, 3, S, S], RGB. vessels: uint8 [N, 1, S, S], 255 times the share of the pixel
    that is vessel. fields: the field of view of each.
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
    if not found.pairs and not found.ambiguous:
        expected = f"{root}: no pairs found, expected images/ and labels/ (or 1st_manual/)"
        if found.photos_alone:
            expected += f"; {_without_label(found, found.photos_alone[0])}"
        raise PairError(expected)
    pairs = {pair.photo: pair for pair in found.pairs if pair.photo}
    unclear = {each.photo: each for each in found.ambiguous}
    photos = sorted([*pairs, *unclear, *found.photos_alone])[:first]
    for name in photos:
        if name in unclear:
            one = unclear[name]
            raise PairError(f"{name}: {one.reason}: {', '.join(one.labels)}")
        if name not in pairs:
            raise PairError(_without_label(found, name))
    if len(photos) < (first or 1):
        raise PairError(f"{root}: {len(photos)} photographs found, {first} wanted")
    return [
        PairFiles(
            root / name,
            root / str(pairs[name].label),
            root / pairs[name].mask if pairs[name].mask else None,  # type: ignore[operator]
            pairs[name].label_may_be_field,
        )
        for name in photos
    ]


def _without_label(found: Recognised, name: str) -> str:
    return f"{name}: a photograph, but no label has its name{advice(found, name)}"


def read_files(files: PairFiles, options: LabelOptions | None = None) -> RealPair:
    """Read one pair; what may be wrong with it is logged as a warning.

    Raises:
        PairError: a file cannot be used, or does not fit the others; names the file.
    """

    def named(path: Path) -> str:
        return "/".join(path.parts[-2:])  # with its folder, as messages name it

    paths = {named(path): path for path in (files.photo, files.label, files.mask) if path}
    names = PairNames(
        named(files.photo),
        named(files.label),
        named(files.mask) if files.mask else None,
        files.label_may_be_field,
    )
    try:
        pair = read_pair(names, lambda name: paths[name].read_bytes(), options)
    except PictureFault as fault:
        raise PairError(f"{Path(fault.file).name}: {fault.detail}") from fault
    except OSError as error:
        raise PairError(f"{Path(error.filename or '').name}: {error.strerror}") from error
    for warning in pair.remarks.warnings:
        logger.warning("%s: %s", Path(warning.file).name, warning.text)
    return pair


def pad_to_square(picture: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """Pad with black to a square, the picture in the middle."""
    h, w = picture.shape[:2]
    side = max(h, w)
    top, left = (side - h) // 2, (side - w) // 2
    padding = [(top, side - h - top), (left, side - w - left)] + [(0, 0)] * (picture.ndim - 2)
    return np.pad(picture, padding)


def load_pairs(files: list[PairFiles], size: int, options: LabelOptions | None = None) -> PairSet:
    """Read pairs into memory at ``size`` pixels.

    Raises:
        PairError: if a file is unreadable, a label's size is not its photograph's, a label is empty,
            or no field of view is found.
    """
    # Each into its place: a list to be stacked and turned takes three times the memory.
    photos = np.empty((len(files), 3, size, size), np.uint8)
    vessels = np.empty((len(files), 1, size, size), np.uint8)
    fields = []
    for i, each in enumerate(files):
        pair = read_files(each, options)
        assert pair.photograph is not None and pair.vessels is not None and pair.field is not None
        fields.append(fit_mask(pair.field))
        photos[i] = resample(pad_to_square(pair.photograph), size).transpose(2, 0, 1)
        label = pair.vessels.astype(np.uint8) * np.uint8(255)
        vessels[i, 0] = resample(pad_to_square(label), size)
    return PairSet(
        names=tuple(pair.photo.name for pair in files),
        photos=torch.from_numpy(photos),
        vessels=torch.from_numpy(vessels),
        fields=tuple(fields),
    )


def resample(picture: NDArray[np.uint8], size: int) -> NDArray[np.uint8]:
    return np.asarray(Image.fromarray(picture).resize((size, size), Image.Resampling.BOX))
