"""A lossless PNG encoder for 8-bit arrays, some ten times as fast as a general one.

A general encoder tries five filters on each row. Here one filter is applied to the whole array in
numpy and one zlib stream follows, run-length matches only (Z_RLE): sensor noise has no longer
matches worth looking for, so this is both faster and smaller. zlib releases the interpreter lock.
"""

import struct
import zlib

import numpy as np
from numpy.typing import NDArray

SIGNATURE = b"\x89PNG\r\n\x1a\n"
GREY, RGB = 0, 2  # colour types
FILTER_NONE, FILTER_AVERAGE = 0, 3
MEMORY_LEVEL = 9  # zlib's largest


def encode_photograph(pixels: NDArray[np.uint8]) -> bytes:
    """PNG of a natural picture, [H, W, 3] or [H, W] uint8, by the Average filter."""
    colour = _colour(pixels)
    rows = pixels.reshape(len(pixels), -1)
    channels = 3 if colour == RGB else 1
    prediction = np.zeros(rows.shape, np.uint16)
    prediction[:, channels:] = rows[:, :-channels]
    prediction[1:] += rows[:-1]
    prediction >>= 1
    return _encode(rows - prediction.astype(np.uint8), pixels.shape[1], colour, FILTER_AVERAGE)


def encode_map(pixels: NDArray[np.uint8]) -> bytes:
    """PNG of a map of few values, [H, W] uint8: unfiltered, which keeps its runs whole."""
    colour = _colour(pixels)
    return _encode(pixels.reshape(len(pixels), -1), pixels.shape[1], colour, FILTER_NONE)


def _deflate(lines: NDArray[np.uint8]) -> bytes:
    """The zlib stream of an array in C order."""
    stream = zlib.compressobj(1, zlib.DEFLATED, zlib.MAX_WBITS, MEMORY_LEVEL, zlib.Z_RLE)
    return stream.compress(lines.data) + stream.flush()


def _colour(pixels: NDArray[np.uint8]) -> int:
    if pixels.dtype == np.uint8 and pixels.ndim == 2:
        return GREY
    if pixels.dtype == np.uint8 and pixels.ndim == 3 and pixels.shape[2] == 3:
        return RGB
    raise ValueError(f"need uint8 [H, W] or [H, W, 3], got {pixels.dtype} {list(pixels.shape)}")


def _encode(rows: NDArray[np.uint8], width: int, colour: int, row_filter: int) -> bytes:
    lines = np.empty((len(rows), 1 + rows.shape[1]), np.uint8)
    lines[:, 0] = row_filter
    lines[:, 1:] = rows
    return b"".join(
        (
            SIGNATURE,
            _chunk(b"IHDR", struct.pack(">2L5B", width, len(rows), 8, colour, 0, 0, 0)),
            _chunk(b"IDAT", _deflate(lines)),
            _chunk(b"IEND", b""),
        )
    )


def _chunk(kind: bytes, data: bytes) -> bytes:
    checksum = zlib.crc32(data, zlib.crc32(kind))
    return struct.pack(">L", len(data)) + kind + data + struct.pack(">L", checksum)
