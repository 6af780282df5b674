"""From the bytes of a picture file to an 8 bit picture, each conversion said in words.

Only files of a few formats are decoded, and those by Pillow alone; size is looked at before pixels.
"""

import io
import re
from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageFile, ImageOps

from app.uploads.faults import FileFault

FORMATS = ("JPEG", "PNG", "TIFF", "PPM", "GIF")
MOST_PIXELS = 32 << 20
SMALLEST_SIDE = 32  # pixels
DEPTHS = (8, 10, 12, 14, 16)  # bits that cameras fill of the 16 in a file
ORIENTATION = 0x0112  # EXIF
SIXTEEN_BIT = re.compile(";16|65535")  # in Pillow's words for how the pixels are stored
START_OF_SCAN = b"\xff\xda"  # a marker of JPEG; within its data the first byte is followed by 0
MOST_SCANS = 100  # each is a pass over the whole picture, and can be a few bytes long
WITH_ALPHA = ("LA", "La", "PA", "RGBA", "RGBa")
NEARLY_GREY = 24  # between the channels of a grey picture that JPEG has passed through
COLOURED_SHARE = 0.001

Note = Callable[[str], None]  # takes a conversion, in words


def decode(data: bytes, note: Note) -> Image.Image:
    """The picture, upright, of one of Pillow's modes.

    Raises:
        FileFault: it is no picture, a damaged one, or too large or small.
    """
    try:
        picture = _open(data)
        if len(picture.getbands()) > 1 and SIXTEEN_BIT.search(str(picture.tile)):
            note("16 bit a channel scaled to 8")  # Pillow has no such pictures, it reads them so
        frames = getattr(picture, "n_frames", 1)
        if frames > 1:
            note(f"the first of {frames} pictures in the file used")
        picture.load()
        if picture.getexif().get(ORIENTATION, 1) != 1:
            note("EXIF rotation applied")
            return ImageOps.exif_transpose(picture)
    except (FileFault, MemoryError):
        raise
    except Exception as error:  # decoders meet hostile bytes with errors of any class
        raise FileFault("damaged_picture", f"cannot be decoded: {error}") from error
    return picture


def _open(data: bytes) -> ImageFile.ImageFile:
    try:
        picture: ImageFile.ImageFile = Image.open(io.BytesIO(data), formats=FORMATS)
    except Image.DecompressionBombError:
        raise FileFault("too_many_pixels", _too_many("many")) from None
    except Image.UnidentifiedImageError:
        what = " (it is a zip)" if data.startswith(b"PK") else ""
        raise FileFault(
            "not_a_picture", f"not a picture{what}; what is read: {', '.join(FORMATS)}"
        ) from None
    if data.count(START_OF_SCAN) > MOST_SCANS and picture.format in ("JPEG", "MPO"):
        raise FileFault(
            "jpeg_bomb",
            f"a JPEG of more than {MOST_SCANS} scans; cameras and programs write a dozen",
        )
    width, height = picture.size
    if width * height > MOST_PIXELS:
        raise FileFault("too_many_pixels", _too_many(f"{width} x {height}"))
    if min(width, height) < SMALLEST_SIDE:
        raise FileFault(
            "too_few_pixels",
            f"{width} x {height} pixels; each side needs {SMALLEST_SIDE} or more",
        )
    return picture


def _too_many(size: str) -> str:
    return f"{size} pixels; a picture may have {MOST_PIXELS}"


def as_rgb(picture: Image.Image, note: Note) -> Image.Image:
    """The picture in RGB, 8 bit a channel.

    Raises:
        FileFault: its numbers have no meaning as a picture.
    """
    return _to_rgb(picture, note, "RGB")


def as_grey(picture: Image.Image, note: Note) -> NDArray[np.uint8]:
    """The picture's grey levels, [H, W], if it is grey in effect.

    Raises:
        FileFault: it has colours, or its numbers have no meaning as a picture.
    """
    if picture.mode in ("1", "L"):
        return np.asarray(picture.convert("L"))
    if picture.mode.startswith(("I", "F")):
        return _eight_bit(picture, note)
    if picture.mode == "RGB":
        note("RGB to grey")
    pixels = np.asarray(_to_rgb(picture, note, "grey"))
    least, most = pixels.min(axis=2), pixels.max(axis=2)
    coloured = float(np.mean(most - least > NEARLY_GREY))
    if coloured > COLOURED_SHARE:
        raise FileFault(
            "in_colour",
            f"colours over {coloured:.1%} of its area; a label map or mask is black and white",
        )
    return most


def _to_rgb(picture: Image.Image, note: Note, name: str) -> Image.Image:
    mode = picture.mode
    if mode in ("1", "L") or mode.startswith(("I", "F")):
        note(f"grey to {name}")
        grey = picture if mode in ("1", "L") else Image.fromarray(_eight_bit(picture, note))
        return grey.convert("RGB")
    if mode in ("P", "CMYK", "YCbCr", "LAB", "HSV"):
        note(f"{'palette' if mode == 'P' else mode} to {name}")
    if mode in WITH_ALPHA or "transparency" in picture.info:
        opaque = picture.convert("RGBA")
        if opaque.getchannel("A").getextrema() == (255, 255):
            note("alpha channel dropped: opaque throughout")
        else:
            note("transparency composited on black")
        black = Image.new("RGBA", opaque.size, (0, 0, 0, 255))
        picture = Image.alpha_composite(black, opaque)
    return picture if picture.mode == "RGB" else picture.convert("RGB")


def _eight_bit(picture: Image.Image, note: Note) -> NDArray[np.uint8]:
    """Grey of 16 bit or more to 8; the bits that are in use count, not those of the file's numbers."""
    if picture.mode == "F":
        raise FileFault("float_picture", "holds floating-point numbers; use 8 or 16 bit integers")
    pixels = np.asarray(picture)
    low, high = int(pixels.min()), int(pixels.max())
    if low < 0 or high >= 1 << DEPTHS[-1]:
        raise FileFault("picture_depth", f"values from {low} to {high}; use 8 or 16 bit")
    if high <= 1:  # 0 and 1 are no depth of a picture, but two values
        return pixels.astype(np.uint8)
    depth = next(depth for depth in DEPTHS if high < 1 << depth)
    note(f"16 bit, of which {depth} are in use, scaled to 8")
    scaled = (pixels.astype(np.float32) * (255 / ((1 << depth) - 1))).round()
    return scaled.astype(np.uint8)
