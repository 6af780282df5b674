"""Zips as users make them, and as those do who wish the service ill."""

import io
import zipfile
from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

SIDE = 64

Pixels = NDArray[Any]


def vessels(variant: int = 0, side: int = SIDE) -> Pixels:
    """A label map, [side, side] bool: two crossing vessels and one that tells the variant."""
    pixels = np.zeros((side, side), bool)
    pixels[side // 2 - 2 : side // 2 + 1, 8:-8] = True
    pixels[8:-8, side // 2 - 1 : side // 2 + 1] = True
    pixels[12 + variant, 16:-16] = True
    return pixels


def disc(side: int = SIDE) -> Pixels:
    centres = np.arange(side) + 0.5 - side / 2
    return centres[None, :] ** 2 + centres[:, None] ** 2 <= (0.47 * side) ** 2


def photograph(variant: int = 0, side: int = SIDE) -> Pixels:
    """[side, side, 3] uint8: an orange disc, darker where the variant's vessels are."""
    pixels = np.zeros((side, side, 3), np.uint8)
    pixels[disc(side)] = (200, 110, 60)
    pixels[vessels(variant, side)] = (120, 50, 30)
    return pixels


def picture(pixels: Pixels | Image.Image, format: str = "PNG", **options: Any) -> bytes:
    """The pixels as a file; truth values become 0 and 255."""
    if isinstance(pixels, np.ndarray):
        pixels = Image.fromarray(pixels.astype(np.uint8) * 255 if pixels.dtype == bool else pixels)
    file = io.BytesIO()
    pixels.save(file, format, **options)
    return file.getvalue()


def pack(files: Mapping[str, bytes] | list[tuple[str | zipfile.ZipInfo, bytes]]) -> bytes:
    """A zip of these files."""
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, data in files.items() if isinstance(files, Mapping) else files:
            archive.writestr(name, data, zipfile.ZIP_DEFLATED)
    return file.getvalue()


def pairs(count: int = 2) -> dict[str, bytes]:
    """The files of so many good pairs: images/0.png, labels/0.png, ..."""
    files = {}
    for number in range(count):
        files[f"images/{number}.png"] = picture(photograph(number))
        files[f"labels/{number}.png"] = picture(vessels(number))
    return files


def maps(count: int = 2) -> dict[str, bytes]:
    """The files of so many good label maps."""
    return {f"{number}.png": picture(vessels(number)) for number in range(count)}
