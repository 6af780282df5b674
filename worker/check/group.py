"""One pair, map or photograph of an upload: read, and encoded as it is kept."""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from app.uploads.faults import FileFault
from models.data.decoding import PictureFault
from models.data.labels import LabelOptions
from models.data.layouts import PairNames
from models.data.reading import Remarks, read_pair
from worker.png import encode_map, encode_photograph


@dataclass(frozen=True)
class Normalised:
    """The pictures as PNGs, all of ``size`` (width, height), and what was done to get there."""

    size: tuple[int, int]
    vessel_fraction: float | None
    field_confidence: float | None
    image: bytes | None
    label: bytes | None
    mask: bytes | None
    remarks: Remarks


def normalise(names: PairNames, read: Callable[[str], bytes], options: LabelOptions) -> Normalised:
    """Brings the pictures to one form; ``read`` gives a file's bytes.

    Raises:
        FileFault: a file is not what it should be, or does not fit the others; it is named.
    """

    def read_named(file: str) -> bytes:
        try:
            return read(file)
        except FileFault as fault:
            fault.file = fault.file or file
            raise

    try:
        pair = read_pair(names, read_named, options)
    except PictureFault as fault:
        raise FileFault(fault.code, fault.detail, fault.file) from fault
    shape = next(
        plane.shape for plane in (pair.photograph, pair.vessels, pair.field) if plane is not None
    )
    return Normalised(
        size=(shape[1], shape[0]),
        vessel_fraction=None if pair.vessels is None else pair.vessel_fraction,
        field_confidence=pair.confidence,
        image=None if pair.photograph is None else encode_photograph(pair.photograph),
        label=None if pair.vessels is None else _encode(pair.vessels),
        mask=None if pair.field is None else _encode(pair.field),
        remarks=pair.remarks,
    )


def _encode(pixels: NDArray[np.bool_]) -> bytes:
    return encode_map(pixels.astype(np.uint8) * np.uint8(255))
