"""Which pixels of a label are vessel, and which of a mask are field of view.

Labels of two values need no rule. Of more values, only known conventions are read; others are refused with
the values found, since to guess would be to lose a part of the vessels without a word.
"""

from __future__ import annotations

import argparse
import re
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image
from scipy import ndimage

from models.data.decoding import Note, PictureFault, as_rgb, eight_bit, has_alpha

MOST_GREY = 0.25  # of the area: the soft edges of thin vessels take less, a photograph nearly all
MOST_VESSEL = 0.4  # of the field: real maps have 0.05 to 0.2
SMALLEST_FIELD = 0.1  # of the picture
FEW_VALUES = 16  # so many values may be classes, more are soft edges or JPEG
NEARLY_GREY = 24  # between the channels of a grey picture that JPEG has passed through
COLOURED_PART = 0.001  # of the area
MINOR_PART = 0.02  # of what is not background: colours of blurred edges take less
MOST_NAMED = 8  # values in a message
ADVICE = 'say which are vessels with "vessel_values" (and what to leave out with "ignore_value")'

RED, GREEN, BLUE, MAGENTA, WHITE, BLACK = 1, 2, 4, 5, 7, 0
COLOUR = re.compile("#[0-9a-fA-F]{6}")
NAMES = ("black", "red", "green", "yellow", "blue", "magenta", "cyan", "white")

Map = NDArray[np.bool_]
Value = int | str


@dataclass(frozen=True)
class LabelOptions:
    """Which values of a label mean what.

    Grey levels as stored, palette indices, or colours as "#rrggbb". Without ``vessel_values`` the label has
    two values, or is of a known convention.
    """

    vessel_values: tuple[Value, ...] = ()
    ignore_value: Value | None = None


def add_label_arguments(parser: argparse.ArgumentParser) -> None:
    """The arguments of commands that read labels; :func:`label_options` reads them."""
    parser.add_argument(
        "--vessel-values",
        nargs="+",
        default=[],
        metavar="VALUE",
        help="the values in labels that are vessel: grey levels, palette indices, or colours as #rrggbb",
    )
    parser.add_argument(
        "--ignore-value", metavar="VALUE", help="the value in labels of pixels to leave out"
    )


def label_options(given: argparse.Namespace) -> LabelOptions:
    """
    Raises:
        ValueError: a value is neither a number nor a colour.
    """

    def value(text: str) -> Value:
        if text.isdigit():
            return int(text)
        if not COLOUR.fullmatch(text):
            raise ValueError(f"{text!r} is neither a number nor a colour as #rrggbb")
        return text

    ignored = None if given.ignore_value is None else value(given.ignore_value)
    return LabelOptions(tuple(value(text) for text in given.vessel_values), ignored)


@dataclass(frozen=True)
class LabelClasses:
    """vessels and ignored: [H, W]. certain: whether it is known that the vessels are not the background."""

    vessels: Map
    ignored: Map | None = None
    certain: bool = False


def read_label(image: Image.Image, options: LabelOptions, note: Note) -> LabelClasses:
    """The vessels of a label, before its field of view is looked at.

    Raises:
        PictureFault: it is empty, no label, or of several values of which none is known to be the vessels.
    """
    if options.vessel_values or options.ignore_value is not None:
        return _by_options(image, options, note)
    pixels = _plain(image, note)
    if pixels.ndim == 2:
        return _of_grey(pixels, note)
    least, most = pixels.min(axis=2), pixels.max(axis=2)
    if np.mean(most - least > NEARLY_GREY) <= COLOURED_PART:
        return _of_grey(most, note)
    return _of_colours(pixels, note)


def vessels_of(classes: LabelClasses, field: Map | None, note: Note) -> Map:
    """The vessels, [H, W]. Maps whose vessels are dark are inverted: vessels are the smaller part.

    ``field`` is the field of view, None if it is not known: then the whole picture counts.

    Raises:
        PictureFault: no vessels, or too many.
    """
    vessels = classes.vessels
    within = vessels if field is None else vessels[field]
    if within.mean() > 0.5 and not classes.certain:
        note("inverted: vessels were dark on white")
        vessels, within = ~vessels, ~within
        if field is not None:
            vessels = vessels & field
        elif vessels[0, 0] and vessels[0, -1] and vessels[-1, 0] and vessels[-1, -1]:
            raise PictureFault(
                "dark_surround",
                "dark vessels in a white field with a dark surround: make the vessels white, or add "
                "a mask of the field of view",
            )
    if not within.any():
        raise PictureFault("empty", "no vessels: all of it is background")
    fraction = float(within.mean())
    if fraction > MOST_VESSEL:
        raise PictureFault(
            "not_a_label",
            f"{fraction:.0%} of it would be vessel; of real maps it is 5 to 20 %",
        )
    return vessels if classes.ignored is None else vessels & ~classes.ignored


def read_mask(image: Image.Image, note: Note) -> Map:
    """The field of view of a mask, [H, W]; all of it if the mask has one value above zero.

    Raises:
        PictureFault: it is empty, or no mask.
    """
    grey = _plain(image, note)
    if grey.ndim == 3:
        least, grey = grey.min(axis=2), grey.max(axis=2)
        coloured = float(np.mean(grey - least > NEARLY_GREY))
        if coloured > COLOURED_PART:
            raise PictureFault(
                "in_colour", f"colours over {coloured:.1%} of its area; a mask is black and white"
            )
    low, high = int(grey.min()), int(grey.max())
    if low == high:
        if not high:
            raise PictureFault("empty", "one value only (0): the mask is empty")
        note(f"one value only ({high}): all of the picture is field of view")
        return np.ones(grey.shape, bool)
    _refuse_grey(grey, low, high, "mask")
    field = grey > (low + high) / 2
    height, width = field.shape
    if not field[height // 2, width // 2]:
        note("inverted: the field of view was dark")
        field = ~field
    if field.mean() < SMALLEST_FIELD:
        raise PictureFault(
            "not_a_mask", f"its field of view takes {field.mean():.0%} of the picture"
        )
    return field


def looks_like_field(image: Image.Image) -> bool:
    """Whether a picture is a mask of the field of view, and not vessels: one large whole area."""
    grey = np.asarray(image.convert("L"))
    small = np.asarray(Image.fromarray(grey).reduce(max(1, max(grey.shape) // 128)))
    for lit in (small > (int(small.min()) + int(small.max())) / 2, np.ones(small.shape, bool)):
        if small.min() < small.max() or lit.all():
            opened = ndimage.binary_opening(lit, iterations=max(2, max(small.shape) // 20))
            return bool(lit.mean() > 0.3 and opened.sum() > 0.8 * lit.sum())
    return False


def _plain(image: Image.Image, note: Note) -> NDArray[Any]:
    """Grey levels as stored [H, W], or RGB [H, W, 3]."""
    if image.mode in ("1", "L") and not has_alpha(image):
        return np.asarray(image.convert("L"))
    if image.mode.startswith(("I", "F")):
        pixels = np.asarray(image)
        if pixels.dtype.kind == "f":
            eight_bit(pixels, note)  # says why not
        return pixels
    if has_alpha(image) and (alpha := _meaningful_alpha(image)) is not None:
        note("vessels read from the alpha channel")
        return alpha
    if image.mode == "RGB":
        note("RGB to grey")
    return np.asarray(as_rgb(image, note, "grey"))


def _meaningful_alpha(image: Image.Image) -> NDArray[np.uint8] | None:
    """The alpha channel, if it is what tells pixels apart: all that is opaque has one colour."""
    pixels = np.asarray(image.convert("RGBA"))
    alpha = pixels[..., 3]
    seen = pixels[alpha > 127][:, :3]
    if alpha.min() > 250 or not len(seen) or np.ptp(seen, axis=0).max() > 8:
        return None
    return alpha


def _of_grey(grey: NDArray[Any], note: Note) -> LabelClasses:
    if grey.dtype != np.uint8 and (grey.min() < 0 or grey.max() >= 1 << 16):
        eight_bit(grey, note)  # says why not
    levels = np.flatnonzero(np.bincount(grey.ravel().astype(np.int64), minlength=256))
    low, high = int(levels[0]), int(levels[-1])
    if low == high:
        raise PictureFault("empty", f"one value only ({low}); a label or mask has two")
    if len(levels) == 2:
        if (low, high) != (0, 255):
            note(f"values {low} and {high} to 0 and 255")
        return LabelClasses(grey == high)
    if levels.tolist() == [0, 1, 255]:
        note("value 1 is vessel, value 255 ignored")
        return LabelClasses(grey == 1, grey == 255, certain=True)
    if grey.dtype != np.uint8 and len(levels) > FEW_VALUES:
        grey = eight_bit(grey, note)
        low, high = int(grey.min()), int(grey.max())
    _refuse_grey(grey, low, high, "label")
    if _has_classes(grey, low, high, len(levels)):
        raise PictureFault("label_values", f"{_named_levels(grey)}; {ADVICE}")
    threshold = (low + high) / 2
    note(f"{len(levels)} grey values cut at half, {threshold:g}: soft edges made hard")
    return LabelClasses(grey > threshold)


def _refuse_grey(grey: NDArray[Any], low: int, high: int, what: str) -> None:
    reach = (high - low) / 10
    levels, counts = np.unique(grey[::3, ::3], return_counts=True)
    middle = counts[(levels > low + reach) & (levels < high - reach)]
    between = float(middle.sum() / counts.sum())
    # A few values over a large part are classes, which have a message of their own.
    if between > MOST_GREY and (what == "mask" or len(levels) > FEW_VALUES):
        raise PictureFault(
            "not_a_label",
            f"grey over {between:.0%} of its area: looks like a photograph; a label or mask has two "
            "values",
        )


def _has_classes(grey: NDArray[Any], low: int, high: int, count: int) -> bool:
    """Whether values between the lowest and the highest are areas of their own, not soft edges."""
    levels = grey.astype(np.float32)
    reach = 0.1 * (high - low)
    most = ndimage.maximum_filter(levels, 3)
    least = ndimage.minimum_filter(levels, 3)
    if count <= FEW_VALUES:
        between = (grey > low) & (grey < high)
        edge = between & (most - levels >= reach) & (levels - least >= reach)
        return bool(edge.sum() < 0.5 * between.sum())
    middle = (levels > low + 2 * reach) & (levels < high - 2 * reach)
    flat = middle & (most - least < reach)
    return bool(flat.sum() > 0.1 * (flat.sum() + (levels >= high - 2 * reach).sum()))


def _of_colours(pixels: NDArray[Any], note: Note) -> LabelClasses:
    """Vessels of a label in colour, by the eight corners of the colour cube that its pixels are nearest to."""
    most = pixels.max(axis=2)
    peak = int(most.max())
    dark = most < peak / 2
    codes = np.zeros(most.shape, np.uint8)
    for channel, bit in enumerate((RED, GREEN, BLUE)):
        codes |= np.where(pixels[..., channel] > most // 2, np.uint8(bit), np.uint8(0))
    codes[dark] = BLACK
    distinct = np.unique(
        (pixels[::2, ::2] >> 3).astype(np.uint32) @ np.array([1 << 10, 1 << 5, 1], np.uint32)
    )
    between = float(np.mean((most > peak / 10) & (most < peak * 0.9)))
    counts = np.bincount(codes.ravel(), minlength=8)
    ground = int(counts.argmax())
    if len(distinct) > 4 * FEW_VALUES and (between > MOST_GREY or ground not in (BLACK, WHITE)):
        raise PictureFault(
            "in_colour",
            f"colours over {np.mean(most - pixels.min(axis=2) > NEARLY_GREY):.1%} of its area: looks like "
            "a photograph; a label shows vessels alone",
        )
    others = counts.copy()
    others[ground] = 0
    classes = {int(code) for code in np.flatnonzero(others > MINOR_PART * others.sum())}
    named = ", ".join(NAMES[code] for code in sorted(classes))
    if len(classes) == 1:
        note(f"{named} on {NAMES[ground]} to white on black")
        return LabelClasses(codes == classes.pop())
    unsure = {WHITE} if ground == BLACK else set()
    if ground in (BLACK, WHITE) and {RED, BLUE} <= classes <= {RED, BLUE, GREEN, MAGENTA} | unsure:
        note(f"arteries and veins ({named}) joined to vessels")
        return LabelClasses(codes != ground, certain=True)
    found = [
        f"{_hex(np.median(pixels[codes == code][:100_000], axis=0))} ({counts[code] / codes.size:.1%})"
        for code in sorted({*classes, ground})
    ]
    raise PictureFault("in_colour", f"colours {', '.join(found)}; {ADVICE}")


def _by_options(image: Image.Image, options: LabelOptions, note: Note) -> LabelClasses:
    values = [*options.vessel_values, options.ignore_value]
    if any(isinstance(value, str) for value in values):
        rgb = np.asarray(as_rgb(image, note)).astype(np.int64)
        pixels = (rgb[..., 0] << 16) | (rgb[..., 1] << 8) | rgb[..., 2]
    elif image.mode == "P":
        pixels = np.asarray(image)
    else:
        plain = _plain(image, note)
        pixels = plain if plain.ndim == 2 else plain.max(axis=2)

    def where(value: Value) -> Map:
        number = int(value.removeprefix("#"), 16) if isinstance(value, str) else value
        return pixels == number

    ignored = None
    if options.ignore_value is not None:
        ignored = where(options.ignore_value)
        note(f"value {options.ignore_value} ignored")
    if not options.vessel_values:
        left_out = np.zeros(pixels.shape, bool) if ignored is None else ignored
        kept = pixels[~left_out]
        if not kept.size:
            raise PictureFault("empty", "no vessels: all of it is to be ignored")
        found = _of_grey(np.where(left_out, kept.min(), pixels), note)
        return LabelClasses(found.vessels, ignored, found.certain)
    vessels = np.zeros(pixels.shape, bool)
    for value in options.vessel_values:
        vessels |= where(value)
    if not vessels.any():
        text = isinstance(options.vessel_values[0], str)
        raise PictureFault(
            "label_values",
            f"none of its pixels has one of the vessel values; {_named_levels(pixels, text)}",
        )
    note(f"values {', '.join(map(str, options.vessel_values))} to vessel")
    return LabelClasses(vessels, ignored, certain=True)


def _named_levels(grey: NDArray[Any], colours: bool = False) -> str:
    """The values that take most of the area, as text."""
    levels, counts = np.unique(grey, return_counts=True)
    largest = sorted(np.argsort(counts)[::-1][:MOST_NAMED])
    parts = [
        f"{f'#{int(levels[i]):06x}' if colours else int(levels[i])} ({counts[i] / grey.size:.1%})"
        for i in largest
    ]
    return f"{len(levels)} values: {', '.join(parts)}{', ...' if len(levels) > MOST_NAMED else ''}"


def _hex(colour: NDArray[Any]) -> str:
    return "#" + "".join(f"{int(channel):02x}" for channel in colour)
