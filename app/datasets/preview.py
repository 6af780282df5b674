"""The contact sheet of a data set."""

import io
from collections.abc import Sequence

from PIL import Image

from app.archive.formats import IMAGE_FORMATS

MOST_PAIRS = 16
PAIRS_IN_ROW = 4
LARGEST_TILE = 256  # pixels
GAP = 4  # pixels
FORMATS = [name.upper() for name in IMAGE_FORMATS]  # as Pillow calls them


def contact_sheet(pairs: Sequence[tuple[bytes, bytes]]) -> bytes:
    """One PNG of up to 16 pairs, each the photograph with its label beside it, in rows of four.

    ``pairs`` holds (photograph, label) as files of any image format. Pictures larger than 256 px are made smaller.
    """
    tiles = [tuple(_tile(file) for file in pair) for pair in pairs]
    side = tiles[0][0].width
    columns = min(len(tiles), PAIRS_IN_ROW)
    rows = -(-len(tiles) // PAIRS_IN_ROW)
    width, height = 2 * side + GAP, side + GAP
    sheet = Image.new("RGB", (columns * width - GAP, rows * height - GAP), "white")
    for place, (photograph, label) in enumerate(tiles):
        row, column = divmod(place, PAIRS_IN_ROW)
        sheet.paste(photograph, (column * width, row * height))
        sheet.paste(label, (column * width + side, row * height))
    file = io.BytesIO()
    sheet.save(file, "PNG", compress_level=1)
    return file.getvalue()


def _tile(file: bytes) -> Image.Image:
    picture = Image.open(io.BytesIO(file), formats=FORMATS).convert("RGB")
    picture.thumbnail((LARGEST_TILE, LARGEST_TILE))
    return picture
