"""One pair of real files as arrays: the reader of uploads, training and evaluation alike."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from models.data.alignment import FITS_FROM, vessel_darkness
from models.data.decoding import Note, Picture, PictureFault, as_rgb, decode, upright
from models.data.field_of_view import find_field_of_view
from models.data.labels import (
    LabelOptions,
    looks_like_field,
    read_label,
    read_mask,
    vessels_of,
)
from models.data.layouts import PairNames

Map = NDArray[np.bool_]
Read = Callable[[str], bytes]  # the bytes of a file by its name


@dataclass(frozen=True)
class Remark:
    """What was done to a file, or what may be wrong with it."""

    file: str
    text: str
    code: str = ""


@dataclass
class Remarks:
    """conversions: what was changed. warnings: what may be wrong though the file is used."""

    conversions: list[Remark] = field(default_factory=list)
    warnings: list[Remark] = field(default_factory=list)

    def of(self, file: str) -> Note:
        return lambda text: self.conversions.append(Remark(file, text))

    def warn(self, file: str, code: str, text: str) -> None:
        self.warnings.append(Remark(file, text, code))


@dataclass(frozen=True)
class RealPair:
    """A pair, or a bare label map, or a photograph without a label.

    photograph: RGB uint8 [H, W, 3]. vessels, field (of view): [H, W]; a map without a mask has no field.
    confidence: of the field where it was found in the photograph, 0 to 1.
    """

    photograph: NDArray[np.uint8] | None
    vessels: Map | None
    field: Map | None
    confidence: float | None
    remarks: Remarks

    @property
    def vessel_fraction(self) -> float:
        """Of the field of view; of the whole picture where it is not known."""
        assert self.vessels is not None
        return float((self.vessels if self.field is None else self.vessels[self.field]).mean())


def read_pair(names: PairNames, read: Read, options: LabelOptions | None = None) -> RealPair:
    """Read the files of a pair, or of a map or a photograph alone, and check that they fit one another.

    Raises:
        PictureFault: a file is not what it should be, or does not fit the others; it is named.
    """
    options = options or LabelOptions()
    remarks = Remarks()
    photo = label = mask = None
    if names.photo is not None:
        with faults_of(names.photo):
            photo = decode(read(names.photo), remarks.of(names.photo))
            photograph = _photograph(photo, remarks.of(names.photo))
    if names.label is not None:
        with faults_of(names.label):
            label = decode(read(names.label), remarks.of(names.label))
            _refuse_pages(label)
            if names.label_may_be_field:
                _refuse_field(label.image, names, remarks)
    if names.mask is not None:
        with faults_of(names.mask):
            mask = decode(read(names.mask), remarks.of(names.mask))
    turns = {
        name: _turn(part, photo, name, remarks)
        for name, part in ((names.label, label), (names.mask, mask))
        if part is not None and name is not None
    }
    classes = inside = confidence = None
    size: tuple[int, int] | None = None if photo is None else photograph.shape[:2]
    if label is not None and names.label is not None:
        with faults_of(names.label):
            image = upright(label.image, turns[names.label])
            size = _same_size(image, size, "photograph")
            classes = read_label(image, options, remarks.of(names.label))
    if mask is not None and names.mask is not None:
        with faults_of(names.mask):
            image = upright(mask.image, turns[names.mask])
            _same_size(image, size, "label" if photo is None else "photograph")
            inside = read_mask(image, remarks.of(names.mask))
    elif photo is not None and names.photo is not None:
        with faults_of(names.photo):
            inside, confidence = _found_field(photograph, names.photo, remarks)
    vessels = None
    if classes is not None and names.label is not None:
        with faults_of(names.label):
            vessels = vessels_of(classes, inside, remarks.of(names.label))
        if classes.ignored is not None and inside is not None:
            inside = inside & ~classes.ignored
        if photo is not None and inside is not None:
            _warn_if_off(photograph, vessels, inside, names.label, remarks)
    return RealPair(None if photo is None else photograph, vessels, inside, confidence, remarks)


def read_annotation(data: bytes, size: tuple[int, int]) -> Map:
    """What is marked in a map of one kind, such as the optic disc; it may be empty.

    Raises:
        PictureFault: it is no picture, or not of this size (height and width).
    """

    def unsaid(_: str) -> None:
        pass

    picture = decode(data, unsaid)
    image = upright(picture.image, picture.orientation)
    _same_size(image, size, "photograph")
    grey = np.asarray(as_rgb(image, unsaid)).max(axis=2)
    return grey > max(int(grey.max()) / 2, 0)


@contextmanager
def faults_of(file: str) -> Iterator[None]:
    """Give faults that arise in the block, and name no file yet, this one."""
    try:
        yield
    except PictureFault as fault:
        fault.file = fault.file or file
        raise


def _photograph(picture: Picture, note: Note) -> NDArray[np.uint8]:
    if picture.orientation != 1:
        note("EXIF rotation applied")
    return np.asarray(as_rgb(upright(picture.image, picture.orientation), note))


def _refuse_pages(label: Picture) -> None:
    if label.other_pages:
        raise PictureFault(
            "pages",
            f"{label.other_pages + 1} different pictures in one file; save the one with all vessels as "
            "a file of its own",
        )


def _refuse_field(image: Image.Image, names: PairNames, remarks: Remarks) -> None:
    """A file in a folder called masks may be vessels or a field of view: its content decides."""
    assert names.label is not None
    if looks_like_field(image):
        raise PictureFault(
            "missing_partner",
            f"a photograph, but no label has its name; {names.label} is its field of view",
            names.photo or "",
        )
    remarks.of(names.label)("taken for the vessels by what it shows, though a mask by its name")


def _turn(part: Picture, photo: Picture | None, name: str, remarks: Remarks) -> int:
    """EXIF's orientation that a label or mask is to be turned by.

    One without a tag was drawn on the photograph as it is stored, or as it is shown. Its size tells which;
    where it does not, vessels decide.
    """
    if part.orientation != 1:
        remarks.of(name)("EXIF rotation applied")
        return part.orientation
    if photo is None or photo.orientation == 1:
        return 1
    stored, shown = photo.image.size, upright(photo.image, photo.orientation).size
    size = part.image.size
    if size == stored and (size != shown or _lies_better(part.image, photo)):
        remarks.of(name)("turned as the photograph's EXIF rotation says")
        return photo.orientation
    return 1


def _lies_better(image: Image.Image, photo: Picture) -> bool:
    """Whether a label lies better on the photograph as it is stored than as it is shown."""

    def unsaid(_: str) -> None:
        pass

    grey = np.asarray(image.convert("L"))
    vessels = grey > (int(grey.min()) + int(grey.max())) / 2
    if vessels.mean() > 0.5:
        vessels = ~vessels
    everywhere = np.ones(vessels.shape, bool)
    stored, shown = (
        vessel_darkness(np.asarray(as_rgb(each, unsaid)), vessels, everywhere) or 0.0
        for each in (photo.image, upright(photo.image, photo.orientation))
    )
    return stored > shown


def _same_size(image: Image.Image, size: tuple[int, int] | None, of: str) -> tuple[int, int]:
    width, height = image.size
    if size is not None and (height, width) != size:
        raise PictureFault(
            "size_mismatch", f"{width} x {height} pixels, its {of} has {size[1]} x {size[0]}"
        )
    return height, width


def _found_field(photograph: NDArray[np.uint8], name: str, remarks: Remarks) -> tuple[Map, float]:
    try:
        fit = find_field_of_view(photograph)
    except ValueError as error:
        raise PictureFault("no_field_of_view", str(error)) from error
    remarks.of(name)("no mask: the field of view found in the photograph")
    if not fit.sure:
        remarks.warn(
            name,
            "field_of_view_unsure",
            f"its field of view may be wrong (confidence {fit.confidence:.2f}); look at it, or add a mask",
        )
    return fit.field.draw_in(*photograph.shape[:2]), round(fit.confidence, 3)


def _warn_if_off(
    photograph: NDArray[np.uint8], vessels: Map, inside: Map, name: str, remarks: Remarks
) -> None:
    darkness = vessel_darkness(photograph, vessels, inside)
    if darkness is not None and darkness < FITS_FROM:
        remarks.warn(
            name,
            "label_off",
            f"may not lie on its photograph: vessels are {darkness:.2f} deviations darker than what is "
            f"around them, right labels {FITS_FROM} or more; it may be turned, shifted or of another eye",
        )
