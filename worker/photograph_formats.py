"""JPEG and TIFF of photographs, by Pillow."""

import io

import numpy as np
import PIL
from numpy.typing import NDArray
from PIL import Image, features

QUALITY = 95  # of 100
FULL_COLOUR = 0  # 4:4:4: no chroma subsampling, so that vessels keep their colour
PREDICTOR, HORIZONTAL = 317, 2  # TIFF tag: deflate the differences of neighbouring pixels


def encode_jpeg(pixels: NDArray[np.uint8]) -> bytes:
    """Baseline JPEG of a picture, [H, W, 3] uint8. It loses a little."""
    return _encode(pixels, "JPEG", quality=QUALITY, subsampling=FULL_COLOUR)


def encode_tiff(pixels: NDArray[np.uint8]) -> bytes:
    """Lossless TIFF of a picture, [H, W, 3] uint8: deflate, which readers in pure Python know too."""
    return _encode(
        pixels, "TIFF", compression="tiff_adobe_deflate", tiffinfo={PREDICTOR: HORIZONTAL}
    )


def environment_of_format(image_format: str) -> dict[str, str]:
    """What the bytes of a photograph depend on besides the pixels: nothing more for png."""
    if image_format == "jpeg":
        turbo = features.version_feature("libjpeg_turbo")
        libjpeg = f"libjpeg-turbo {turbo}" if turbo else f"libjpeg {features.version_codec('jpg')}"
        return {"pillow": PIL.__version__, "jpeg": libjpeg}
    if image_format == "tiff":
        libraries = (f"libtiff {features.version_codec('libtiff')}", _zlib_of_pillow())
        return {"pillow": PIL.__version__, "tiff": ", ".join(libraries)}
    return {}


def _zlib_of_pillow() -> str:
    """Pillow's wheels bring a zlib of their own, or zlib-ng in its place."""
    ng = features.version_feature("zlib_ng")
    return f"zlib-ng {ng}" if ng else f"zlib {features.version_codec('zlib')}"


def _encode(pixels: NDArray[np.uint8], image_format: str, **options: object) -> bytes:
    file = io.BytesIO()
    Image.fromarray(pixels).save(file, image_format, **options)
    return file.getvalue()
