"""Fundus photographs cropped to the field of view, with what is known of each: vessels, disc, lesions."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image
from safetensors import safe_open
from safetensors.torch import save_file
from torch import Tensor

from models.data.decoding import PictureFault
from models.data.field_of_view import FieldOfView, fit_mask
from models.data.labels import LabelOptions
from models.data.layouts import PairNames, is_litter, is_picture
from models.data.reading import RealPair, faults_of, read_annotation, read_pair
from models.pairs import PairError, PairFiles, pad_to_square, read_files

# The channels of a map, in this order.
CHANNELS = ("vessels", "disc", "dark_lesions", "bright_lesions")
VESSELS, DISC, DARK, BRIGHT = range(len(CHANNELS))
# Folders of annotations beside a folder of photographs; files have the photographs' stems.
ANNOTATIONS = {
    "disc": ("discs",),
    "dark_lesions": ("lesions/microaneurysms", "lesions/haemorrhages"),
    "bright_lesions": ("lesions/hard_exudates", "lesions/soft_exudates"),
}
TENSORS = ("photographs", "maps", "known", "fields", "traced")
# Side of the crop, in longer sides of the field of view.
FRAME = 1.02


@dataclass(frozen=True)
class PhotographSet:
    """Photographs of one square size S, cropped to their fields of view.

    photographs: uint8 [N, 3, S, S], RGB. maps: uint8 [N, 4, S, S], 255 times the fraction of each pixel that
    each of ``CHANNELS`` covers. known: bool [N, 4], the channels that are annotated; others are zero.
    fields: uint8 [N, 1, S, S], 1 within the field of view. traced: bool [N], whether the vessels are
    pseudo-labels of a teacher. sources: the data set that each photograph is of.
    """

    names: tuple[str, ...]
    sources: tuple[str, ...]
    photographs: Tensor
    maps: Tensor
    known: Tensor
    fields: Tensor
    traced: Tensor

    def __len__(self) -> int:
        return len(self.names)

    @property
    def size(self) -> int:
        """Side in pixels."""
        return self.photographs.shape[-1]

    def __add__(self, other: PhotographSet) -> PhotographSet:
        tensors = {name: torch.cat([getattr(self, name), getattr(other, name)]) for name in TENSORS}
        return PhotographSet(self.names + other.names, self.sources + other.sources, **tensors)

    def subset(self, chosen: Tensor) -> PhotographSet:
        """Those at the given places (int64), or those that a bool mask selects."""
        places = chosen.nonzero()[:, 0] if chosen.dtype == torch.bool else chosen
        names, sources = (
            tuple(all_of[i] for i in places.tolist()) for all_of in (self.names, self.sources)
        )
        return PhotographSet(names, sources, **{n: getattr(self, n)[places] for n in TENSORS})

    def at_size(self, size: int) -> PhotographSet:
        """The same, averaged down to a side that divides this one."""
        factor = self.size // size

        def mean(planes: Tensor) -> Tensor:
            parts = [
                torch.nn.functional.avg_pool2d(part.float(), factor) for part in planes.split(16)
            ]
            return torch.cat(parts)

        return replace(
            self,
            photographs=mean(self.photographs).round().to(torch.uint8),
            maps=mean(self.maps).round().to(torch.uint8),
            fields=(mean(self.fields) > 0.5).to(torch.uint8),
        )

    def stack(self, places: Tensor) -> Tensor:
        """Photographs, maps and fields of the given places as float [B, 8, S, S], all within [0, 1]."""
        parts = (self.photographs[places], self.maps[places], 255 * self.fields[places])
        return torch.cat(parts, dim=1).float() / 255


def read_labelled(
    files: Sequence[PairFiles], size: int, source: str, options: LabelOptions | None = None
) -> PhotographSet:
    """Read photographs with the vessel maps that people drew; ``source`` names the data set.

    Raises:
        PairError: if a file is unreadable, a label's size is not its photograph's, or no field of view is
            found; names the file.
    """
    return _collect([_Source(f.photo, {}, f) for f in files], size, source, options)


def read_unlabelled(folder: Path, size: int, source: str) -> PhotographSet:
    """Read the photographs of a folder; of those that have them beside it, discs and lesions too.

    A photograph whose disc is annotated counts as annotated for lesions, where there is a folder of them.

    Raises:
        PairError: if there is no photograph, or one is unreadable; names the file.
    """
    photos = sorted(p for p in folder.glob("*") if is_picture(p.name) and not is_litter(p.name))
    if not photos:
        raise PairError(f"{folder}: no photographs found")
    found = {
        name: {path.stem: path for path in (folder.parent / name).glob("*")}
        for names in ANNOTATIONS.values()
        for name in names
    }
    sources = []
    for photo in photos:
        annotations = {}
        if photo.stem in found["discs"]:
            for channel, names in ANNOTATIONS.items():
                if any(found[name] for name in names):
                    paths = (found[name].get(photo.stem) for name in names)
                    annotations[channel] = tuple(path for path in paths if path)
        sources.append(_Source(photo, annotations))
    return _collect(sources, size, source)


@dataclass(frozen=True)
class _Source:
    """A photograph, the files of each annotated channel (none: nothing of it is there), and its pair, if
    people drew its vessels."""

    photo: Path
    annotations: dict[str, tuple[Path, ...]]
    pair: PairFiles | None = None


def _collect(
    sources: Sequence[_Source], size: int, name: str, options: LabelOptions | None = None
) -> PhotographSet:
    count = len(sources)
    photographs = np.zeros((count, 3, size, size), np.uint8)
    maps = np.zeros((count, len(CHANNELS), size, size), np.uint8)
    known = np.zeros((count, len(CHANNELS)), np.bool_)
    inside = np.zeros((count, 1, size, size), np.uint8)
    for i, source in enumerate(sources):
        read = _read(source, options)
        assert read.photograph is not None and read.field is not None
        square, field = pad_to_square(read.photograph), fit_mask(read.field)
        present = _annotated(source, read)
        left, top, length = _frame(field)
        box = tuple(len(square) * end for end in (left, top, left + length, top + length))
        photographs[i] = _crop(square, box, size).transpose(2, 0, 1)
        inside[i, 0] = field.in_crop(left, top, length).draw(size)
        photographs[i] *= inside[i]
        for channel, marked in present.items():
            c = CHANNELS.index(channel)
            known[i, c] = True
            for each in marked:
                drawn = pad_to_square(each.astype(np.uint8) * np.uint8(255))
                maps[i, c] = np.maximum(maps[i, c], _crop(drawn, box, size))
        maps[i] *= inside[i]
    return PhotographSet(
        names=tuple(source.photo.name for source in sources),
        sources=(name,) * count,
        photographs=torch.from_numpy(photographs),
        maps=torch.from_numpy(maps),
        known=torch.from_numpy(known),
        fields=torch.from_numpy(inside),
        traced=torch.zeros(count, dtype=torch.bool),
    )


def _read(source: _Source, options: LabelOptions | None) -> RealPair:
    if source.pair is not None:
        return read_files(source.pair, options)
    try:
        return read_pair(PairNames(source.photo.name, None), lambda _: source.photo.read_bytes())
    except PictureFault as fault:
        raise PairError(f"{fault.file}: {fault.detail}") from fault


def _annotated(source: _Source, read: RealPair) -> dict[str, list[NDArray[np.bool_]]]:
    """The maps of each annotated channel, each [H, W]."""
    assert read.photograph is not None
    height, width = read.photograph.shape[:2]
    found: dict[str, list[NDArray[np.bool_]]] = {}
    if read.vessels is not None:
        found["vessels"] = [read.vessels]
    for channel, paths in source.annotations.items():
        found[channel] = []
        for path in paths:
            try:
                with faults_of(path.name):
                    found[channel].append(read_annotation(path.read_bytes(), (height, width)))
            except PictureFault as fault:
                raise PairError(f"{fault.file}: {fault.detail}") from fault
    return found


def _frame(field: FieldOfView) -> tuple[float, float, float]:
    """Left end, top and side of a square around the field, its centre in the middle."""
    left, top, right, bottom = field.bounds
    side = FRAME * max(right - left, bottom - top)
    return (left + right - side) / 2, (top + bottom - side) / 2, side


def _crop(picture: NDArray[np.uint8], box: tuple[float, ...], size: int) -> NDArray[np.uint8]:
    """Resample the box by area, black beyond the picture's edge."""
    margin = 1 + int(max(0, -box[0], -box[1], box[2] - len(picture), box[3] - len(picture)))
    padding = [(margin, margin)] * 2 + [(0, 0)] * (picture.ndim - 2)
    left, top, right, bottom = (value + margin for value in box)
    # A reduction averages the pixels that it covers; an enlargement interpolates them.
    kind = Image.Resampling.BOX if box[2] - box[0] > size else Image.Resampling.BICUBIC
    image = Image.fromarray(np.pad(picture, padding))
    return np.asarray(image.resize((size, size), kind, box=(left, top, right, bottom)))


def save_set(path: Path, data: PhotographSet) -> None:
    """Write a set to one safetensors file."""
    header = {"names": json.dumps(data.names), "sources": json.dumps(data.sources)}
    tensors = {name: getattr(data, name).contiguous() for name in TENSORS}
    save_file(tensors, path, metadata=header)


def load_set(path: Path) -> PhotographSet:
    """Read what :func:`save_set` wrote."""
    with safe_open(path, framework="pt") as file:
        header = file.metadata()
        names, sources = (tuple(json.loads(header[key])) for key in ("names", "sources"))
        return PhotographSet(names, sources, **{key: file.get_tensor(key) for key in TENSORS})
