"""JPEG of photographs. It loses a little: for users whose tools or disks ask for it."""

import io

import numpy as np
import PIL
from numpy.typing import NDArray
from PIL import Image, features

QUALITY = 95  # of 100
FULL_COLOUR = 0  # 4:4:4: no chroma subsampling, so that vessels keep their colour


def encode_jpeg(pixels: NDArray[np.uint8]) -> bytes:
    """Baseline JPEG of a picture, [H, W, 3] uint8."""
    file = io.BytesIO()
    Image.fromarray(pixels).save(file, "JPEG", quality=QUALITY, subsampling=FULL_COLOUR)
    return file.getvalue()


def jpeg_environment() -> dict[str, str]:
    """What the bytes depend on besides the pixels."""
    turbo = features.version_feature("libjpeg_turbo")
    libjpeg = f"libjpeg-turbo {turbo}" if turbo else f"libjpeg {features.version_codec('jpg')}"
    return {"pillow": PIL.__version__, "jpeg": libjpeg}
