"""``python -m models.evaluation.blind``: real and generated pictures, shuffled, for people to tell apart.

Writes blind-photographs.png and blind-maps.png with numbered tiles, 12 real and 12 generated ones
each, and blind-key.json, which says what each number is. Real ones are held out; where there are fewer
than 12, the others are ones that the model learned from. Whoever passes the sheets on needs the
right to.
"""

from __future__ import annotations

import argparse
import io
import json
import sys
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw

from models.evaluation.gather import split
from models.evaluation.pair_arrays import PairArrays, drawn_pairs, real_pairs
from models.loading import load_any_package, sampler_of
from models.pairs import find_pairs, load_pairs

OF_EACH = 12
COLUMNS = 6
TILE = 256  # pixels; all pictures are shown at one size
GAP = 8


def main(arguments: list[str] | None = None) -> None:
    """Run the command; exits with 1 and one line on bad input."""
    options = argparse.ArgumentParser(
        prog="python -m models.evaluation.blind",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    add = options.add_argument
    add("--package", type=Path, required=True, metavar="FOLDER", help="the model package")
    add("--pairs", type=Path, required=True, metavar="FOLDER", help="real pairs")
    add("--train", type=int, metavar="N", help="it learned from the first N (those it names)")
    add("--out", type=Path, required=True, metavar="FOLDER", help="folder for sheets and key")
    add("--seed", type=int, default=0, help="of the generated pairs and the order (0)")
    add("--device", default="auto", help="auto, cpu, cuda ... (auto)")
    given = options.parse_args(arguments)
    try:
        package = load_any_package(given.package)
        files = find_pairs(given.pairs)
        learned = package.manifest["training_data"]["images"]
        ours, held_out = split([file.photo.name for file in files], learned, given.train)
        random = np.random.default_rng(given.seed)
        chosen = [*random.permutation(held_out), *random.permutation(ours)][:OF_EACH]
        loaded = load_pairs([files[i] for i in chosen], 2 * package.resolution)
        real = real_pairs(loaded, package.resolution)
        generated = drawn_pairs(sampler_of(package, given.device), OF_EACH, given.seed)
    except ValueError as error:
        sys.exit(f"error: {error}")
    given.out.mkdir(parents=True, exist_ok=True)
    sheets, key = blind_sheets(real, generated, given.seed)
    for name, png in sheets.items():
        (given.out / name).write_bytes(png)
    key["model"] = f"{package.name}@{package.version}"
    (given.out / "blind-key.json").write_text(json.dumps(key, indent=1) + "\n")
    print(f"wrote {', '.join(sheets)} and blind-key.json to {given.out}")


def blind_sheets(
    real: PairArrays, generated: PairArrays, seed: int
) -> tuple[dict[str, bytes], dict[str, Any]]:
    """Two sheets of all these pairs, as PNGs by name, and their key.

    Each sheet has an order of its own, so that the maps do not give the photographs away.
    """
    random = np.random.default_rng(seed)
    tiles = [(f"real {real.names[i]}", real, i) for i in range(len(real))]
    tiles += [(f"generated {generated.names[i]}", generated, i) for i in range(len(generated))]
    sheets, key = {}, {}
    for name in ("photographs", "maps"):
        order = [tiles[i] for i in random.permutation(len(tiles))]
        sheets[f"blind-{name}.png"] = _numbered([_shown(pairs, i, name) for _, pairs, i in order])
        key[name] = {str(number): tile[0] for number, tile in enumerate(order, start=1)}
    return sheets, {"seed": seed, **key}


def _shown(pairs: PairArrays, i: int, name: str) -> NDArray[np.uint8]:
    if name == "photographs":
        return pairs.photos[i]
    return np.repeat(pairs.labels[i][..., None] * np.uint8(255), 3, axis=2)


def _numbered(pictures: list[NDArray[np.uint8]]) -> bytes:
    """Pictures uint8 [S, S, 3] in rows, each with its number, as PNG."""
    rows = -(-len(pictures) // COLUMNS)
    page = Image.new("RGB", (COLUMNS * (TILE + GAP) + GAP, rows * (TILE + GAP) + GAP), "#404040")
    pen = ImageDraw.Draw(page)
    for place, picture in enumerate(pictures):
        row, column = divmod(place, COLUMNS)
        x, y = GAP + column * (TILE + GAP), GAP + row * (TILE + GAP)
        tile = Image.fromarray(picture)
        page.paste(tile.resize((TILE, TILE), Image.Resampling.LANCZOS), (x, y))
        pen.text((x + 6, y + 4), str(place + 1), fill="white", font_size=18)
    file = io.BytesIO()
    page.save(file, "png")
    return file.getvalue()


if __name__ == "__main__":
    main()
