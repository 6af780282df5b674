"""A lossless TIFF encoder for 8-bit RGB arrays: one strip, deflate over horizontal differences.

Deflate (compression 8) with predictor 2 is read by libtiff and all that builds on it, and, unlike
LZW, by readers in pure Python. Names follow TIFF 6.0 (Adobe, 1992).
"""

import struct

import numpy as np
from numpy.typing import NDArray

from worker.png import deflate

SHORT, LONG, RATIONAL = 3, 4, 5  # field types
HEADER = struct.Struct("<2sHL")
FIELDS = 14
FIELD = struct.Struct("<HHLL")  # tag, type, number of values, value
DEFLATE, RGB, CHUNKY, NO_UNIT, HORIZONTAL = 8, 2, 1, 1, 2

BITS = struct.pack("<3H", 8, 8, 8)
ONE = struct.pack("<2L", 1, 1)


def encode_tiff(pixels: NDArray[np.uint8]) -> bytes:
    """TIFF of a picture, [H, W, 3] uint8."""
    if pixels.dtype != np.uint8 or pixels.ndim != 3 or pixels.shape[2] != 3:
        raise ValueError(f"need uint8 [H, W, 3], got {pixels.dtype} {list(pixels.shape)}")
    height, width, _ = pixels.shape
    differences = pixels.copy()
    differences[:, 1:] -= pixels[:, :-1]
    strip = deflate(differences)
    bits_at = HEADER.size + 2 + FIELDS * FIELD.size + 4
    one_at = bits_at + len(BITS)
    strip_at = one_at + len(ONE)
    directory = (
        _field(256, LONG, width),
        _field(257, LONG, height),
        _field(258, SHORT, bits_at, count=3),  # BitsPerSample
        _field(259, SHORT, DEFLATE),  # Compression
        _field(262, SHORT, RGB),  # PhotometricInterpretation
        _field(273, LONG, strip_at),
        _field(277, SHORT, 3),  # SamplesPerPixel
        _field(278, LONG, height),  # RowsPerStrip
        _field(279, LONG, len(strip)),
        _field(282, RATIONAL, one_at),  # XResolution
        _field(283, RATIONAL, one_at),  # YResolution
        _field(284, SHORT, CHUNKY),  # PlanarConfiguration
        _field(296, SHORT, NO_UNIT),  # ResolutionUnit
        _field(317, SHORT, HORIZONTAL),  # Predictor
    )
    return b"".join(
        (
            HEADER.pack(b"II", 42, HEADER.size),
            struct.pack("<H", FIELDS),
            *directory,
            struct.pack("<L", 0),  # no second picture
            BITS,
            ONE,
            strip,
        )
    )


def _field(tag: int, kind: int, value: int, count: int = 1) -> bytes:
    """A field of the directory; ``value`` is an offset where the values need more than four bytes."""
    # Little endian: a value of two bytes and two empty ones are the same as four.
    return FIELD.pack(tag, kind, count, value)
