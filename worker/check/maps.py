"""Label maps and masks: what is vessel, what is field of view, from the grey levels of a picture."""

import numpy as np
from numpy.typing import NDArray

from app.uploads.faults import FileFault
from models.data.field_of_view import find_field_of_view
from worker.check.decoding import Note

MOST_GREY = 0.25  # of the area: the soft edges of thin vessels take less, a photograph nearly all
MOST_VESSEL = 0.4  # of the field: real maps have 0.05 to 0.2
SMALLEST_FIELD = 0.1  # of the picture

Map = NDArray[np.bool_]


def vessels_of(grey: NDArray[np.uint8], field: Map | None, note: Note) -> Map:
    """The vessels of a label map, [H, W].

    ``field`` is the field of view, None if it is not known: then the whole picture counts. Maps whose
    vessels are dark are inverted, since vessels are the smaller part of every field.

    Raises:
        FileFault: it is empty, or no label map.
    """
    vessels = _two_values(grey, note)
    within = vessels if field is None else vessels[field]
    if within.mean() > 0.5:
        note("inverted: vessels were dark on white")
        vessels, within = ~vessels, ~within
        if field is not None:
            vessels = vessels & field
        elif vessels[0, 0] and vessels[0, -1] and vessels[-1, 0] and vessels[-1, -1]:
            raise FileFault(
                "dark_surround",
                "dark vessels in a white field with a dark surround: make the vessels white, or add "
                "a mask of the field of view",
            )
    if not within.any():
        raise FileFault("empty", "no vessels: all of it is background")
    share = float(within.mean())
    if share > MOST_VESSEL:
        raise FileFault(
            "not_a_label",
            f"{share:.0%} of it would be vessel; of real maps it is 5 to 20 %",
        )
    return vessels


def mask_of(grey: NDArray[np.uint8], note: Note) -> Map:
    """The field of view of a mask, [H, W]; inverted if its middle is outside.

    Raises:
        FileFault: it is empty, or no mask.
    """
    field = _two_values(grey, note)
    height, width = field.shape
    if not field[height // 2, width // 2]:
        note("inverted: the field of view was dark")
        field = ~field
    if field.mean() < SMALLEST_FIELD:
        raise FileFault("not_a_mask", f"its field of view takes {field.mean():.0%} of the picture")
    return field


def field_in(photograph: NDArray[np.uint8]) -> Map:
    """The round field of view of a photograph [H, W, 3].

    Raises:
        FileFault: none is found.
    """
    try:
        field = find_field_of_view(photograph).field
    except ValueError as error:
        raise FileFault("no_field_of_view", str(error)) from error
    return field.draw_in(*photograph.shape[:2])


def _two_values(grey: NDArray[np.uint8], note: Note) -> Map:
    levels = np.flatnonzero(np.bincount(grey.ravel(), minlength=256))
    low, high = int(levels[0]), int(levels[-1])
    if low == high:
        raise FileFault("empty", f"one value only ({low}); a label map or mask has two")
    if len(levels) == 2:
        if (low, high) != (0, 255):
            note(f"values {low} and {high} to 0 and 255")
        return grey == high
    reach = (high - low) / 10
    between = float(np.mean((grey > low + reach) & (grey < high - reach)))
    if between > MOST_GREY:
        raise FileFault(
            "not_a_label",
            f"grey over {between:.0%} of its area: looks like a photograph; a label map or "
            "mask has two values",
        )
    threshold = (low + high) / 2
    note(f"{len(levels)} grey values cut at half, {threshold:g}: soft edges made hard")
    return grey > threshold
