"""Small drawn pairs as people have them: names and bytes of the files, and what becomes of them."""

from dataclasses import dataclass, field

import numpy as np
from PIL import Image

from tests.zips import disc, picture, vessels

SIDE = 96
VESSELS = vessels(side=SIDE)
VESSELS[:, :16] = VESSELS[:, -16:] = VESSELS[:16] = VESSELS[-16:] = False
VESSELS[22, 20:70] = True
PHOTO = np.zeros((SIDE, SIDE, 3), np.uint8)
PHOTO[disc(SIDE)] = (200, 110, 60)
PHOTO[VESSELS] = (120, 50, 30)
ARTERIES = VESSELS.copy()
ARTERIES[:, : SIDE // 2 - 1] = False  # the right half
VEINS = VESSELS & ~ARTERIES


@dataclass(frozen=True)
class DrawnPair:
    """files: by name. code: of the fault, if the pair is refused, and ``says`` a part of its words; else
    ``vessels`` are those expected. warning: its code. options: of the upload."""

    files: dict[str, bytes]
    code: str = ""
    says: str = ""
    vessels: np.ndarray = field(default_factory=lambda: VESSELS)
    warning: str = ""
    options: dict = field(default_factory=dict)


def coloured(classes, ground=(0, 0, 0)):
    pixels = np.full((SIDE, SIDE, 3), ground, np.uint8)
    for where, colour in classes:
        pixels[where] = colour
    return pixels


def labelled(label, name="labels/1.png", **more):
    return DrawnPair({"images/1.png": picture(PHOTO), name: label}, **more)


def soft(pixels):
    large = Image.fromarray(pixels.astype(np.uint8) * 255).resize((4 * SIDE, 4 * SIDE))
    return np.asarray(large.resize((SIDE, SIDE), Image.Resampling.BILINEAR))


def levels(*classes):
    pixels = np.zeros((SIDE, SIDE), np.uint8)
    for where, value in classes:
        pixels[where] = value
    return pixels


def in_palette(pixels, colours):
    image = Image.fromarray(pixels, "P")
    image.putpalette([channel for colour in colours for channel in colour])
    return picture(image)


def turned(pixels, orientation=6):
    """As a camera held on its side stores the picture."""
    exif = Image.Exif()
    exif[0x0112] = orientation
    return picture(np.rot90(pixels).copy(), exif=exif)


def pages(*pictures):
    images = [Image.fromarray(each.astype(np.uint8) * 255) for each in pictures]
    return picture(images[0], "TIFF", save_all=True, append_images=images[1:])


RED, GREEN, BLUE, WHITE, YELLOW = (255, 0, 0), (0, 255, 0), (0, 0, 255), (255,) * 3, (255, 255, 0)
CLASSES = ((ARTERIES, RED), (VEINS, BLUE))
CROSSING = np.zeros_like(VESSELS)
CROSSING[SIDE // 2 - 2 : SIDE // 2 + 1, SIDE // 2 - 1 : SIDE // 2 + 1] = True
ALPHA = np.dstack([np.zeros((SIDE, SIDE, 3), np.uint8), 255 * VESSELS.astype(np.uint8)])
OBLONG = PHOTO[: SIDE - 20]
SHIFTED = np.roll(VESSELS, (7, 7), (0, 1))
WHOLE = np.full((SIDE, SIDE), 255, np.uint8)

PAIRS = {
    "plain": labelled(picture(VESSELS)),
    "soft edges": labelled(picture(soft(VESSELS))),
    "JPEG label": labelled(picture(VESSELS, "JPEG", quality=90), "labels/1.jpg"),
    "dark on white": labelled(picture(~VESSELS)),
    "0 and 1": labelled(picture(VESSELS.astype(np.uint8))),
    "16 bit": labelled(picture(VESSELS.astype(np.uint16) * 4095)),
    "0, 1, 2": labelled(
        picture(levels((ARTERIES, 1), (VEINS, 2))), code="label_values", says="vessel_values"
    ),
    "0, 127, 255": labelled(
        picture(levels((ARTERIES, 127), (VEINS, 255))), code="label_values", says="127 ("
    ),
    "0, 1, 255": labelled(picture(levels((VESSELS, 1), (~disc(SIDE), 255)))),
    "0, 1, 2 with values": labelled(
        picture(levels((ARTERIES, 1), (VEINS, 2))), options={"vessel_values": [1, 2]}
    ),
    "values that are not there": labelled(
        picture(VESSELS), code="label_values", says="2 values", options={"vessel_values": [7]}
    ),
    "ignored": labelled(
        picture(levels((VESSELS, 255), (~disc(SIDE), 100))), options={"ignore_value": 100}
    ),
    "arteries and veins": labelled(picture(coloured(CLASSES))),
    "arteries, veins, crossings, unsure": labelled(
        picture(coloured((*CLASSES, (CROSSING, GREEN), (VESSELS & ~ARTERIES & ~VEINS, WHITE))))
    ),
    "arteries and veins on white": labelled(picture(coloured(CLASSES, WHITE))),
    "one colour": labelled(picture(coloured(((VESSELS, RED),)))),
    "unknown colours": labelled(
        picture(coloured(((ARTERIES, YELLOW), (VEINS, GREEN)))), code="in_colour", says="#ffff00"
    ),
    "unknown colours with values": labelled(
        picture(coloured(((ARTERIES, YELLOW), (VEINS, GREEN)))),
        options={"vessel_values": ["#ffff00", "#00ff00"]},
    ),
    "palette": labelled(in_palette(VESSELS.astype(np.uint8), [(0, 0, 0), (128, 0, 0)])),
    "palette with values": labelled(
        in_palette(levels((ARTERIES, 1), (VEINS, 2)), [(0, 0, 0), (0, 128, 0), (128, 128, 0)]),
        options={"vessel_values": [1, 2]},
    ),
    "alpha": labelled(picture(ALPHA)),
    "pages": labelled(pages(ARTERIES, VEINS), "labels/1.tif", code="pages", says="2 different"),
    "equal pages": labelled(pages(VESSELS, VESSELS), "labels/1.tif"),
    "photograph as label": labelled(
        picture(np.random.default_rng(1).integers(0, 256, (SIDE, SIDE, 3), np.uint8)),
        code="in_colour",
    ),
    "empty label": labelled(picture(np.zeros_like(VESSELS)), code="empty"),
    "other size": labelled(picture(VESSELS[:-8]), code="size_mismatch", says="96 x 88 pixels"),
    "shifted label": labelled(picture(SHIFTED), warning="label_off", vessels=SHIFTED),
    "EXIF on the photograph, label as stored": DrawnPair(
        {
            "images/1.png": turned(OBLONG),
            "labels/1.png": picture(np.rot90(VESSELS[: SIDE - 20]).copy()),
        },
        vessels=VESSELS[: SIDE - 20],
    ),
    "EXIF on a square photograph, label as stored": DrawnPair(
        {"images/1.png": turned(PHOTO), "labels/1.png": picture(np.rot90(VESSELS).copy())}
    ),
    "EXIF on a square photograph, label as shown": DrawnPair(
        {"images/1.png": turned(PHOTO), "labels/1.png": picture(VESSELS)}
    ),
    "EXIF on both": DrawnPair({"images/1.png": turned(PHOTO), "labels/1.png": turned(VESSELS)}),
    "mask of one value": DrawnPair(
        {
            "images/1.png": picture(PHOTO),
            "labels/1.png": picture(VESSELS),
            "masks/1.png": picture(WHOLE),
        }
    ),
    "mask": DrawnPair(
        {
            "images/1.png": picture(PHOTO),
            "labels/1.png": picture(VESSELS),
            "masks/1.png": picture(disc(SIDE)),
        }
    ),
    "masks that are vessels": labelled(picture(VESSELS), "masks/1.png"),
    "masks that are fields": labelled(
        picture(disc(SIDE)), "masks/1.png", code="missing_partner", says="masks/1.png is its field"
    ),
    "pointer": labelled(
        b"version https://git-lfs.github.com/spec/v1\noid sha256:0\nsize 1\n",
        code="pointer",
        says="git lfs pull",
    ),
    "cut off": DrawnPair(
        {"images/1.png": picture(PHOTO)[:200], "labels/1.png": picture(VESSELS)},
        code="damaged_picture",
    ),
    "black photograph": DrawnPair(
        {"images/1.png": picture(np.zeros_like(PHOTO)), "labels/1.png": picture(VESSELS)},
        code="no_field_of_view",
    ),
    "no label": DrawnPair(
        {"images/1.png": picture(PHOTO), "labels/2.png": picture(VESSELS)},
        code="missing_partner",
        says="no label has its name",
    ),
    "two labels": DrawnPair(
        {
            "images/1.png": picture(PHOTO),
            "labels/1_a.png": picture(VESSELS),
            "labels/1_b.png": picture(VEINS),
        },
        code="ambiguous_label",
        says="labels/1_a.png, labels/1_b.png",
    ),
    "vessels beside arteries and veins": DrawnPair(
        {
            "images/1.png": picture(PHOTO),
            "labels/1_artery.png": picture(ARTERIES),
            "labels/1_vein.png": picture(VEINS),
            "labels/1_vessel.png": picture(VESSELS),
        }
    ),
    "BMP and WebP": DrawnPair(
        {
            "images/1.webp": picture(PHOTO, "WEBP", lossless=True),
            "labels/1.bmp": picture(VESSELS, "BMP"),
        }
    ),
    "16 bit photograph": DrawnPair(
        {
            "images/1.ppm": b"P6 96 96 65535\n" + (PHOTO.astype(">u2") * 257).tobytes(),
            "labels/1.png": picture(VESSELS),
        }
    ),
    "CMYK photograph": DrawnPair(
        {
            "images/1.jpg": picture(Image.fromarray(PHOTO).convert("CMYK"), "JPEG"),
            "labels/1.png": picture(VESSELS),
        }
    ),
}
