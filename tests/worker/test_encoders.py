"""The encoders against Pillow's decoder."""

import io
from itertools import product

import numpy as np
import pytest
from PIL import Image

from worker.photograph_formats import encode_jpeg, encode_tiff
from worker.png import encode_map, encode_photograph

SIZES = [(1, 1), (1, 7), (9, 1), (3, 2), (64, 64), (101, 57), (256, 255)]
FILLS = ["noise", "zeros", "full", "gradient"]


def picture(shape: tuple[int, ...], fill: str) -> np.ndarray:
    if fill == "noise":
        return np.random.default_rng(1).integers(0, 256, shape, np.uint8)
    if fill == "gradient":
        return (np.arange(np.prod(shape)) % 256).astype(np.uint8).reshape(shape)
    return np.full(shape, 255 if fill == "full" else 0, np.uint8)


def decode(data: bytes, image_format: str = "PNG") -> np.ndarray:
    with Image.open(io.BytesIO(data)) as image:
        image.load()
        assert image.format == image_format
        assert image.mode in ("L", "RGB")
        return np.asarray(image)


@pytest.mark.parametrize(("size", "fill", "channels"), list(product(SIZES, FILLS, [(), (3,)])))
def test_photograph_is_lossless(
    size: tuple[int, int], fill: str, channels: tuple[int, ...]
) -> None:
    pixels = picture((*size, *channels), fill)
    np.testing.assert_array_equal(decode(encode_photograph(pixels)), pixels)


@pytest.mark.parametrize(("size", "fill"), list(product(SIZES, FILLS)))
def test_map_is_lossless(size: tuple[int, int], fill: str) -> None:
    pixels = picture(size, fill)
    np.testing.assert_array_equal(decode(encode_map(pixels)), pixels)


def test_non_contiguous_arrays_are_lossless() -> None:
    pixels = picture((64, 64, 3), "noise")[::2, ::-1]
    np.testing.assert_array_equal(decode(encode_photograph(pixels)), pixels)
    np.testing.assert_array_equal(decode(encode_map(pixels[..., 0])), pixels[..., 0])


def test_same_pixels_same_bytes() -> None:
    pixels = picture((64, 64, 3), "noise")
    assert encode_photograph(pixels) == encode_photograph(pixels.copy())


@pytest.mark.parametrize(
    "pixels",
    [np.zeros((4, 4), np.float32), np.zeros((4, 4, 4), np.uint8), np.zeros((4, 4), np.uint16)],
)
def test_other_arrays_are_refused(pixels: np.ndarray) -> None:
    with pytest.raises(ValueError, match="need uint8"):
        encode_photograph(pixels)


@pytest.mark.parametrize(("size", "fill"), list(product(SIZES, FILLS)))
def test_tiff_is_lossless(size: tuple[int, int], fill: str) -> None:
    pixels = picture((*size, 3), fill)
    np.testing.assert_array_equal(decode(encode_tiff(pixels), "TIFF"), pixels)


def test_tiff_is_deflated_and_the_same_again() -> None:
    pixels = picture((128, 128, 3), "gradient")
    data = encode_tiff(pixels)
    assert encode_tiff(pixels.copy()) == data
    with Image.open(io.BytesIO(data)) as image:
        assert image.info["compression"] == "tiff_adobe_deflate"
    assert len(data) < pixels.nbytes / 10  # the predictor took effect


def test_jpeg_keeps_its_colours_at_full_resolution() -> None:
    pixels = np.zeros((64, 64, 3), np.uint8)
    pixels[:, ::2, 0] = 255  # lines of one pixel, which halved colours would smear
    assert encode_jpeg(pixels) == encode_jpeg(pixels.copy())
    decoded = decode(encode_jpeg(pixels), "JPEG").astype(int)
    assert np.abs(decoded - pixels).max() < 40
