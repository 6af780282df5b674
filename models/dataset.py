"""A torch data set of a delivered order, read from its unpacked folder or straight from its zips."""

from __future__ import annotations

import io
import json
import os
import re
import zipfile
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import Any, Literal, NamedTuple, Protocol

import numpy as np
import torch
from PIL import Image, UnidentifiedImageError
from torch import Tensor
from torch.utils.data import Dataset

Split = Literal["train", "val", "test"]
# The first folder of a name, in each layout.
FOLDERS = {"train": ("train", "training"), "val": ("val", "validation"), "test": ("test",)}
METADATA = re.compile(r"(?P<folder>(?P<first>[^/]+)/(.*/)?)metadata(-\d+)?\.jsonl")


class DataError(ValueError):
    """A folder or zip that no pairs can be read from; the message names it."""


class LabelledPair(NamedTuple):
    """A photograph with its label and field of view, [C, H, W] float32.

    ``image``: RGB, 0 to 1. ``label``: 1 where there is vessel, else 0. ``mask``: 1 within the field of
    view, else 0.
    """

    image: Tensor
    label: Tensor
    mask: Tensor


class MaskedPair(NamedTuple):
    """A pair of an order with masks of optic disc or lesions, [C, H, W] float32.

    ``image``, ``label``, ``mask``: as of a LabelledPair. ``disc``: [1, H, W], 1 within the disc, else 0.
    ``lesions``: [2, H, W], 1 where there are dark and bright lesions, else 0. Masks that the order lacks
    have no channel: [0, H, W].
    """

    image: Tensor
    label: Tensor
    mask: Tensor
    disc: Tensor
    lesions: Tensor


class PairDataset(Dataset[Any]):
    """The pairs of one split, in the order of their indices.

    ``source`` is the folder that an order was unpacked into, or its zip, or the zips of its volumes;
    zips are read as they are, also by the worker processes of a DataLoader. A pair is a LabelledPair, or a
    MaskedPair if the order has masks of disc or lesions. ``transform`` is given each pair; what it returns
    is the item. ``records`` has what is known of each pair: index, seed, vessel_share (0 to 1), and so on.

    Raises:
        DataError: there is no such source, or no pair of the split in it.
    """

    def __init__(
        self,
        source: Path | str | Sequence[Path | str],
        split: Split = "train",
        transform: Callable[[Any], Any] | None = None,
    ) -> None:
        sources = [source] if isinstance(source, Path | str) else source
        self._transform = transform
        found: list[tuple[dict[str, Any], _Files, str]] = []
        for files in map(_open, sources):
            for name in files.names():
                match = METADATA.fullmatch(name)
                if match and match["first"] in FOLDERS[split]:
                    lines = files.read(name).splitlines()
                    found += [(json.loads(line), files, match["folder"]) for line in lines]
        if not found:
            shown = ", ".join(map(str, sources))
            raise DataError(
                f"{shown}: no pairs of the split {split!r} (tar files are read by the webdataset library)"
            )
        self._pairs = sorted(found, key=lambda pair: pair[0]["index"])
        self.records = [record for record, _, _ in self._pairs]

    def __len__(self) -> int:
        return len(self._pairs)

    def __getitem__(self, place: int) -> Any:
        """The pair at this place of the split, as it is if there is no transform.

        Raises:
            DataError: one of its pictures cannot be read; names it.
        """
        record, files, folder = self._pairs[place]
        image = _read(files, folder + record["file_name"], "RGB")
        label = _read(files, folder + record["label_file_name"], "L")
        mask = _read(files, folder + record["mask_file_name"], "L")
        pair: LabelledPair | MaskedPair
        pair = LabelledPair(image, (label > 0.5).float(), (mask > 0.5).float())
        if {"disc_file_name", "lesions_file_name"} & record.keys():
            disc = lesions = mask[:0]
            if name := record.get("disc_file_name"):
                disc = (_read(files, folder + name, "L") > 0.5).float()
            if name := record.get("lesions_file_name"):
                kinds = (_read(files, folder + name, "L") * 255).round()
                lesions = torch.cat([kinds == 1, kinds == 2]).float()
            pair = MaskedPair(*pair, disc, lesions)
        return pair if self._transform is None else self._transform(pair)


class _Files(Protocol):
    def names(self) -> Iterable[str]: ...

    def read(self, name: str) -> bytes: ...


class _Folder:
    def __init__(self, root: Path) -> None:
        self._root = root

    def names(self) -> Iterable[str]:
        found = self._root.rglob("metadata*.jsonl")
        return [path.relative_to(self._root).as_posix() for path in found]

    def read(self, name: str) -> bytes:
        return (self._root / name).read_bytes()


class _Zip:
    """Opened once in each process: a file that processes share has one position for all."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._opened: tuple[int, zipfile.ZipFile] | None = None

    def __getstate__(self) -> dict[str, Any]:
        return {"_path": self._path, "_opened": None}

    def names(self) -> Iterable[str]:
        return self._archive().namelist()

    def read(self, name: str) -> bytes:
        return self._archive().read(name)

    def _archive(self) -> zipfile.ZipFile:
        if self._opened is None or self._opened[0] != os.getpid():
            self._opened = (os.getpid(), zipfile.ZipFile(self._path))
        return self._opened[1]


def _open(source: Path | str) -> _Files:
    path = Path(source)
    if path.is_dir():
        return _Folder(path)
    if not zipfile.is_zipfile(path):
        raise DataError(f"{path}: neither a folder nor a zip")
    return _Zip(path)


def _read(files: _Files, name: str, mode: str) -> Tensor:
    try:
        data = files.read(name)
        pixels = np.asarray(Image.open(io.BytesIO(data)).convert(mode))
    except (OSError, KeyError, zipfile.BadZipFile, UnidentifiedImageError) as error:
        raise DataError(f"{name}: cannot be read ({error})") from error
    return torch.from_numpy(
        pixels.reshape(*pixels.shape[:2], -1).transpose(2, 0, 1) / np.float32(255)
    )
