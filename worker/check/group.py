"""One map or pair: its files read, brought to one form, and compared with one another."""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from app.uploads.faults import FileFault, faults_of
from app.uploads.schemas import Conversion
from worker.check.decoding import Note, as_grey, as_rgb, decode
from worker.check.maps import field_in, mask_of, vessels_of
from worker.png import encode_map, encode_photograph


@dataclass(frozen=True)
class Group:
    """The names of the files that belong together."""

    label: str
    mask: str | None
    image: str | None = None


@dataclass(frozen=True)
class Normalised:
    """The pictures as PNGs, all of ``size`` (width, height), and what was done to get there."""

    size: tuple[int, int]
    vessel_share: float
    image: bytes | None
    label: bytes
    mask: bytes | None
    conversions: list[Conversion]


def normalise(group: Group, read: Callable[[str], bytes]) -> Normalised:
    """Brings the group's pictures to one form; ``read`` gives a file's bytes.

    Raises:
        FileFault: a file is not what it should be, or does not fit the others; it is named.
    """
    conversions: list[Conversion] = []

    def note_of(file: str) -> Note:
        return lambda done: conversions.append(Conversion(file=file, done=done))

    def grey(file: str) -> NDArray[np.uint8]:
        return as_grey(decode(read(file), note_of(file)), note_of(file))

    image = field = None
    if group.image is not None:
        with faults_of(group.image):
            picture = decode(read(group.image), note_of(group.image))
            image = np.asarray(as_rgb(picture, note_of(group.image)))
    with faults_of(group.label):
        levels = grey(group.label)
        if image is not None:
            _same_size(levels, image, "photograph")
    if group.mask is not None:
        with faults_of(group.mask):
            mask = grey(group.mask)
            _same_size(mask, levels, "label")
            field = mask_of(mask, note_of(group.mask))
    elif image is not None and group.image is not None:
        with faults_of(group.image):
            field = field_in(image)
            note_of(group.image)("no mask: the round field of view found in the photograph")
    with faults_of(group.label):
        vessels = vessels_of(levels, field, note_of(group.label))
    return Normalised(
        size=(levels.shape[1], levels.shape[0]),
        vessel_share=float((vessels if field is None else vessels[field]).mean()),
        image=None if image is None else encode_photograph(image),
        label=_encode(vessels),
        mask=None if field is None else _encode(field),
        conversions=conversions,
    )


def _encode(pixels: NDArray[np.bool_]) -> bytes:
    return encode_map(pixels.astype(np.uint8) * np.uint8(255))


def _same_size(picture: NDArray[np.uint8], other: NDArray[np.uint8], of: str) -> None:
    (height, width), (high, wide) = picture.shape[:2], other.shape[:2]
    if (height, width) != (high, wide):
        raise FileFault("size_mismatch", f"{width} x {height} pixels, its {of} has {wide} x {high}")
