"""Whether a file is what it should be where weights are expected: safetensors, read without torch.

The format: the header's length (8 bytes, little-endian), the header (a JSON object: for each tensor its
dtype, shape and place among the bytes that follow), the tensors' bytes one after another.
(https://huggingface.co/docs/safetensors: the file is covered by its tensors, without holes.)
"""

import math
import struct
from collections.abc import Iterator
from typing import Any

from pydantic_core import from_json

from app.uploads.faults import FileFault

LARGEST_HEADER = 8 << 20  # bytes; a network of a thousand tensors has some 100,000
LENGTH = struct.Struct("<Q")
BYTES = {
    "BOOL": 1,
    "U8": 1,
    "I8": 1,
    "I16": 2,
    "F16": 2,
    "BF16": 2,
    "I32": 4,
    "F32": 4,
    "I64": 8,
    "F64": 8,
}


def check_weights(pieces: Iterator[bytes], size: int) -> None:
    """Check the header of a safetensors file of ``size`` bytes, which comes in pieces.

    Only as many are taken as the header needs.

    Raises:
        FileFault: it is none, or its tensors do not fill the file.
    """
    read = bytearray()

    def take(length: int) -> bytes:
        while len(read) < length:
            piece = next(pieces, None)
            if piece is None:
                raise _fault("is not a safetensors file: it ends within its header")
            read.extend(piece)
        return bytes(read[:length])

    (header_size,) = LENGTH.unpack(take(LENGTH.size))
    if header_size > min(LARGEST_HEADER, size - LENGTH.size):
        raise _fault(f"is not a safetensors file: a header of {header_size} bytes")
    try:
        header = from_json(take(LENGTH.size + header_size)[LENGTH.size :])
    except ValueError as error:
        raise _fault(f"is not a safetensors file: its header is not JSON ({error})") from None
    if not isinstance(header, dict):
        raise _fault("is not a safetensors file: its header is not a JSON object")
    header.pop("__metadata__", None)
    if not header:
        raise _fault("has no tensors")
    end = 0
    for start, stop, name in sorted(_place(name, tensor) for name, tensor in header.items()):
        if start != end:
            raise _fault(f"tensor {name!r} begins at byte {start}, not where {end} are taken")
        end = stop
    if LENGTH.size + header_size + end != size:
        raise _fault(f"has {size} bytes, but its tensors end at {LENGTH.size + header_size + end}")


def _place(name: str, tensor: Any) -> tuple[int, int, str]:
    """Where the tensor's bytes begin and end, and its name."""
    match tensor:
        case {"dtype": str(dtype), "shape": [*shape], "data_offsets": [int(start), int(stop)]}:
            pass
        case _:
            raise _fault(f"tensor {name!r} lacks its dtype, shape or data_offsets")
    if dtype not in BYTES:
        raise _fault(f"tensor {name!r} has the dtype {dtype!r}, which is not read")
    if not all(type(side) is int and 0 <= side < 2**31 for side in shape) or len(shape) > 8:
        raise _fault(f"tensor {name!r} has the shape {shape}, which none can have")
    if stop - start != BYTES[dtype] * math.prod(shape):
        raise _fault(f"tensor {name!r} of {dtype} {shape} has {stop - start} bytes")
    return start, stop, name


def _fault(detail: str) -> FileFault:
    return FileFault("not_safetensors", detail)
