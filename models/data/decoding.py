"""From the bytes of a picture file to 8 bit pixels; each conversion is noted in words.

Only files of a few formats are decoded, all by Pillow. The size is checked before pixels are read.
"""

from __future__ import annotations

import io
import re
import zlib
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageFile, ImageOps

FORMATS = ("JPEG", "PNG", "TIFF", "PPM", "GIF", "BMP", "WEBP")
MOST_PIXELS = 32 << 20
MOST_BYTES = 256 << 20  # of a file that was compressed by gzip
SMALLEST_SIDE = 32  # pixels
DEPTHS = (8, 10, 12, 14, 16)  # bits that cameras fill of the 16 in a file
ORIENTATION = 0x0112  # EXIF's tag
SIXTEEN_BIT = re.compile(";16|65535")  # in Pillow's words for how the pixels are stored
START_OF_SCAN = b"\xff\xda"  # a marker of JPEG; within its data the first byte is followed by 0
MOST_SCANS = 100  # each is a pass over the whole picture, and can be a few bytes long
MOST_PAGES = 64  # that are compared
WITH_ALPHA = ("LA", "La", "PA", "RGBA", "RGBa")
POINTERS = (
    (b"version https://git-lfs.github.com/spec/", "a Git LFS pointer", "git lfs pull"),
    (b"/annex/objects/", "a git-annex pointer", "git annex get"),
)

Note = Callable[[str], None]  # takes a conversion, in words


class PictureFault(Exception):
    """A file that cannot be used: a code for programs, a sentence for people, and the file's name."""

    def __init__(self, code: str, detail: str, file: str = "") -> None:
        super().__init__(detail)
        self.code = code
        self.detail = detail
        self.file = file


@dataclass(frozen=True)
class Picture:
    """A decoded file. image: as stored, of one of Pillow's modes. orientation: EXIF's, 1 if there is none.

    other_pages: how many further pages have the first one's size and other pixels.
    """

    image: Image.Image
    orientation: int
    other_pages: int


def decode(data: bytes, note: Note) -> Picture:
    """Decode the file of a picture, also one compressed by gzip.

    Raises:
        PictureFault: it is no picture, a damaged one, or too large or small.
    """
    if data.startswith(b"\x1f\x8b"):
        data = _unzip(data)
        note("unpacked from gzip")
    try:
        picture = _open(data)
        if len(picture.getbands()) > 1 and SIXTEEN_BIT.search(str(picture.tile)):
            note("16 bit a channel scaled to 8")  # Pillow has no such pictures, it reads them so
        others = _other_pages(picture, note)
        picture.load()
        orientation = int(picture.getexif().get(ORIENTATION) or 1)
    except (PictureFault, MemoryError):
        raise
    except Exception as error:  # decoders meet hostile bytes with errors of any class
        raise PictureFault("damaged_picture", f"cannot be decoded: {error}") from error
    return Picture(picture, orientation if orientation in range(2, 9) else 1, others)


def upright(image: Image.Image, orientation: int) -> Image.Image:
    """The picture turned and mirrored as EXIF's orientation says."""
    if orientation == 1:
        return image
    image = image.copy()
    image.getexif()[ORIENTATION] = orientation
    return ImageOps.exif_transpose(image)


def _unzip(data: bytes) -> bytes:
    unpacking = zlib.decompressobj(zlib.MAX_WBITS | 16)
    try:
        unpacked = unpacking.decompress(data, MOST_BYTES)
    except zlib.error as error:
        raise PictureFault("damaged_picture", f"cannot be unpacked: {error}") from error
    if unpacking.unconsumed_tail:
        raise PictureFault("too_many_pixels", f"more than {MOST_BYTES} bytes unpacked")
    return unpacked


def _open(data: bytes) -> ImageFile.ImageFile:
    for start, what, command in POINTERS:
        if start in data[:200]:
            raise PictureFault(
                "pointer",
                f"{what}, not the picture itself; run `{command}` and send the files again",
            )
    try:
        picture: ImageFile.ImageFile = Image.open(io.BytesIO(data), formats=FORMATS)
    except Image.DecompressionBombError:
        raise PictureFault("too_many_pixels", _too_many("many")) from None
    except Image.UnidentifiedImageError:
        what = " (it is a zip)" if data.startswith(b"PK") else ""
        raise PictureFault(
            "not_a_picture", f"not a picture{what}; what is read: {', '.join(FORMATS)}"
        ) from None
    if data.count(START_OF_SCAN) > MOST_SCANS and picture.format in ("JPEG", "MPO"):
        raise PictureFault(
            "jpeg_bomb",
            f"a JPEG of more than {MOST_SCANS} scans; cameras and programs write a dozen",
        )
    width, height = picture.size
    if width * height > MOST_PIXELS:
        raise PictureFault("too_many_pixels", _too_many(f"{width} x {height}"))
    if min(width, height) < SMALLEST_SIDE:
        raise PictureFault(
            "too_few_pixels",
            f"{width} x {height} pixels; each side needs {SMALLEST_SIDE} or more",
        )
    return picture


def _too_many(size: str) -> str:
    return f"{size} pixels; a picture may have {MOST_PIXELS}"


def _other_pages(picture: ImageFile.ImageFile, note: Note) -> int:
    """How many pages after the first have its size and other pixels; smaller ones are previews."""
    pages = getattr(picture, "n_frames", 1)
    if pages == 1:
        return 0
    note(f"the first of {pages} pictures in the file used")
    size, first = picture.size, picture.convert("RGBA").tobytes()
    others = 0
    for page in range(1, min(pages, MOST_PAGES)):
        picture.seek(page)
        if picture.size == size and picture.convert("RGBA").tobytes() != first:
            others += 1
    picture.seek(0)
    return others


def as_rgb(image: Image.Image, note: Note, name: str = "RGB") -> Image.Image:
    """The picture in RGB, 8 bit a channel. ``name``: what the note says that it becomes.

    Raises:
        PictureFault: its numbers have no meaning as a picture.
    """
    mode = image.mode
    if mode in ("1", "L") or mode.startswith(("I", "F")):
        note(f"grey to {name}")
        grey = image if mode in ("1", "L") else Image.fromarray(eight_bit(np.asarray(image), note))
        return grey.convert("RGB")
    if mode in ("P", "CMYK", "YCbCr", "LAB", "HSV"):
        note(f"{'palette' if mode == 'P' else mode} to {name}")
    if has_alpha(image):
        opaque = image.convert("RGBA")
        if opaque.getchannel("A").getextrema() == (255, 255):
            note("alpha channel dropped: opaque throughout")
        else:
            note("transparency composited on black")
        black = Image.new("RGBA", opaque.size, (0, 0, 0, 255))
        image = Image.alpha_composite(black, opaque)
    return image if image.mode == "RGB" else image.convert("RGB")


def has_alpha(image: Image.Image) -> bool:
    return image.mode in WITH_ALPHA or "transparency" in image.info


def eight_bit(pixels: NDArray[Any], note: Note) -> NDArray[np.uint8]:
    """Grey of 16 bit or more to 8; the bits that are in use count, not those of the file's numbers.

    Raises:
        PictureFault: the numbers are fractions, or of more than 16 bit.
    """
    if pixels.dtype.kind == "f":
        raise PictureFault(
            "float_picture", "holds floating-point numbers; use 8 or 16 bit integers"
        )
    low, high = int(pixels.min()), int(pixels.max())
    if low < 0 or high >= 1 << DEPTHS[-1]:
        raise PictureFault("picture_depth", f"values from {low} to {high}; use 8 or 16 bit")
    depth = next(depth for depth in DEPTHS if high < 1 << depth)
    note(f"16 bit, of which {depth} are in use, scaled to 8")
    scaled = (pixels.astype(np.float32) * (255 / ((1 << depth) - 1))).round()
    return scaled.astype(np.uint8)
