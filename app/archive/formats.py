"""The formats that photographs come in. Labels and masks are always PNG."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True)
class ImageFormat:
    """``share``: bytes of a pair as a multiple of those of one in PNG, roughly, until measured."""

    title: str
    extension: str
    media_type: str
    share: float = 1.0


PNG = ImageFormat("PNG", "png", "image/png")
IMAGE_FORMATS = {
    "png": PNG,
    "jpeg": ImageFormat("JPEG (quality 95, 4:4:4)", "jpg", "image/jpeg", share=0.45),
    "tiff": ImageFormat("TIFF (lossless)", "tif", "image/tiff", share=1.2),
}


def format_name(order: Mapping[str, Any]) -> str:
    """The name of the order's image format: png where it names none."""
    return order.get("image_format") or "png"


def format_of(order: Mapping[str, Any]) -> ImageFormat:
    return IMAGE_FORMATS[format_name(order)]
