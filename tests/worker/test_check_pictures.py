"""Single pictures of every kind that hurts: refused by name, or put right and that told."""

import struct
import zlib

import numpy as np
import pytest
from PIL import Image

from tests.worker.checked import Check, embedded
from tests.zips import SIDE, Pixels, disc, maps, pack, photograph, picture, vessels


def png_of_size(width: int, height: int) -> bytes:
    """A PNG that claims to be so large."""
    png = bytearray(picture(vessels()))
    struct.pack_into(">2L", png, 16, width, height)
    struct.pack_into(">L", png, 29, zlib.crc32(png[12:29]))
    return bytes(png)


def of_scans(scans: int) -> bytes:
    """A JPEG of so many scans, the last ones empty."""
    jpeg = picture(vessels(2), "JPEG")
    scan = jpeg.index(b"\xff\xda")
    return jpeg[:-2] + jpeg[scan : scan + 10] * (scans - 1) + jpeg[-2:]


def coloured() -> Pixels:
    pixels = np.zeros((SIDE, SIDE, 3), np.uint8)
    pixels[vessels()] = (255, 255, 0)
    pixels[:, : SIDE // 2][vessels()[:, : SIDE // 2]] = (255, 0, 0)
    return pixels


NOISE = np.random.default_rng(7).integers(0, 256, (SIDE, SIDE), np.uint8)
SURROUNDED = disc() & ~vessels(5)
WHOLE = pack(maps(3))
OTHER = maps(3)["2.png"]
FAULTS = {
    "cut off": ("x.png", OTHER[: len(OTHER) // 2], "damaged_picture"),
    "text": ("x.png", b"I am no picture", "not_a_picture"),
    "zip by another name": ("x.png", WHOLE, "not_a_picture"),
    "other format": ("x.png", picture(vessels(2), "TGA"), "not_a_picture"),
    "too many pixels": ("x.png", png_of_size(8192, 4097), "too_many_pixels"),
    "far too many pixels": ("x.png", png_of_size(100_000, 100_000), "too_many_pixels"),
    "too few pixels": ("x.png", picture(vessels()[:16]), "too_few_pixels"),
    "bomb by scans": ("x.jpg", of_scans(101), "jpeg_bomb"),
    "nested zip": ("x.zip", WHOLE, "nested_archive"),
    "nested tar": ("x.tar.gz", b"", "nested_archive"),
    "black": ("x.png", picture(np.zeros((SIDE, SIDE), bool)), "empty"),
    "white": ("x.png", picture(np.ones((SIDE, SIDE), bool)), "empty"),
    "in colours": ("x.png", picture(coloured()), "in_colour"),
    "photograph in colour": ("x.png", picture(photograph()), "in_colour"),
    "photograph in grey": ("x.png", picture(NOISE), "not_a_label"),
    "mask": ("x.png", picture(np.arange(SIDE) % 2 * np.ones((SIDE, 1)) > 0.5), "not_a_label"),
    "dark surround": ("x.png", picture(SURROUNDED), "dark_surround"),
    "floating point": ("x.tif", picture(vessels(2).astype(np.float32), "TIFF"), "float_picture"),
    "same picture": ("x.png", picture(vessels(1)), "duplicate"),
    "same picture, other format": ("x.tif", picture(vessels(1), "TIFF"), "duplicate"),
    "mask of no map": ("masks/x.png", picture(disc()), "missing_partner"),
}


@embedded
@pytest.mark.parametrize("case", FAULTS)
def test_a_map_at_fault_is_named_and_the_others_are_used(check: Check, case: str) -> None:
    name, data, code = FAULTS[case]
    found = check("maps", pack(maps(2) | {name: data}))
    assert found.refused == [(name, code)]
    assert found.report.refused[0].detail
    assert (found.job.status, found.job.count) == ("succeeded", 2)
    np.testing.assert_array_equal(found.pixels(1, "label"), 255 * vessels(1))


def turned(pixels: Pixels) -> bytes:
    """The picture as a camera held on its side stores it."""
    exif = Image.Exif()
    exif[0x0112] = 6  # the top is on the right: turn it clockwise
    return picture(np.rot90(pixels).copy(), exif=exif)


def rgb16(pixels: Pixels) -> bytes:
    """PPM with 16 bits a channel."""
    height, width, _ = pixels.shape
    values = pixels.astype(">u2") * 257
    return b"P6 %d %d 65535\n" % (width, height) + values.tobytes()


def of_mode(pixels: Pixels, mode: str, format: str = "PNG") -> bytes:
    return picture(Image.fromarray(pixels).convert(mode), format)


def transparent(pixels: Pixels) -> bytes:
    """White where the disc is not, but invisible there."""
    rgba = np.dstack([np.where(disc()[..., None], pixels, 255), 255 * disc()]).astype(np.uint8)
    return picture(rgba)


PHOTO = photograph()
GREY = np.asarray(Image.fromarray(PHOTO).convert("L"))
PHOTOS = {
    "EXIF rotation": ("png", turned(PHOTO), "EXIF rotation applied", PHOTO, 0),
    "16 bit RGB": ("ppm", rgb16(PHOTO), "16 bit a channel scaled to 8", PHOTO, 0),
    "16 bit grey": (
        "png",
        picture(GREY.astype(np.uint16) * 257),
        "16 bit, of which 16 are in use, scaled to 8",
        np.dstack([GREY] * 3),
        0,
    ),
    "12 of 16 bit": (
        "tif",
        picture((GREY * (4095 / 255)).round().astype(np.uint16), "TIFF"),
        "16 bit, of which 12 are in use, scaled to 8",
        np.dstack([GREY] * 3),
        0,
    ),
    "palette": (
        "gif",
        picture(Image.fromarray(PHOTO).quantize(8), "GIF"),
        "palette to RGB",
        PHOTO,
        0,
    ),
    "CMYK": ("jpg", of_mode(PHOTO, "CMYK", "JPEG"), "CMYK to RGB", PHOTO, 60),
    "grey": ("png", picture(GREY), "grey to RGB", np.dstack([GREY] * 3), 0),
    "alpha": ("png", transparent(PHOTO), "transparency composited on black", PHOTO, 0),
    "opaque alpha": ("png", of_mode(PHOTO, "RGBA"), "alpha channel dropped: opaque", PHOTO, 0),
}


@embedded
@pytest.mark.parametrize("case", PHOTOS)
def test_a_photograph_is_converted_and_that_is_told(check: Check, case: str) -> None:
    end, data, words, expected, error = PHOTOS[case]
    files = {f"images/a.{end}": data, "labels/a.png": picture(vessels())}
    found = check("pairs", pack(files | {"masks/a.png": picture(disc())}))
    assert found.refused == []
    told = [each.done for each in found.report.used[0].conversions]
    assert any(words in each for each in told), told
    image = found.pixels(0, "image")
    assert image.shape == expected.shape
    assert np.abs(image.astype(int) - expected).max() <= error


def soft(pixels: Pixels) -> Pixels:
    """The map with edges as drawing programs make them: larger, then made smaller again."""
    large = Image.fromarray(pixels.astype(np.uint8) * 255).resize((256, 256))
    return np.asarray(large.resize((SIDE, SIDE), Image.Resampling.BILINEAR))


VESSELS = vessels()
LABELS = {
    "0 and 1": (picture(VESSELS.astype(np.uint8)), "values 0 and 1 to 0 and 255"),
    "any two values": (picture(np.where(VESSELS, 90, 7).astype(np.uint8)), "values 7 and 90"),
    "soft edges": (picture(soft(VESSELS)), "cut at half"),
    "inverted": (picture(~VESSELS), "inverted"),
    "inverted 0 and 1": (picture((~VESSELS).astype(np.uint8)), "inverted"),
    "palette": (of_mode(255 * VESSELS.astype(np.uint8), "P"), "palette to grey"),
    "RGB": (picture(np.dstack([255 * VESSELS.astype(np.uint8)] * 3)), "RGB to grey"),
    "JPEG": (picture(VESSELS, "JPEG", quality=90), "cut at half"),
    "16 bit": (picture(VESSELS.astype(np.uint16) * 65535), "values 0 and 65535"),
    "16 bit 0 and 1": (picture(VESSELS.astype(np.uint16)), "values 0 and 1"),
    "EXIF rotation": (turned(VESSELS), "EXIF rotation applied"),
    "alpha": (
        picture(np.dstack([255 * VESSELS.astype(np.uint8)] * 3 + [255 * VESSELS.astype(np.uint8)])),
        "alpha channel",
    ),
}


@embedded
@pytest.mark.parametrize("case", LABELS)
def test_a_label_becomes_0_and_255_and_that_is_told(check: Check, case: str) -> None:
    data, words = LABELS[case]
    end = "jpg" if case == "JPEG" else "png"
    found = check("maps", pack({f"a.{end}": data}))
    assert found.refused == []
    told = [each.done for each in found.report.used[0].conversions]
    assert any(words in each for each in told), told
    np.testing.assert_array_equal(found.pixels(0, "label"), 255 * VESSELS)


@embedded
def test_a_1_bit_label_is_as_it_should_be(check: Check) -> None:
    found = check("maps", pack({"a.png": of_mode(255 * VESSELS.astype(np.uint8), "1")}))
    assert found.report.used[0].conversions == []
    np.testing.assert_array_equal(found.pixels(0, "label"), 255 * VESSELS)
