"""The pairs of an order, read from its zips."""

from __future__ import annotations

import io
import json
import zipfile
from collections.abc import Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from models.evaluation.pair_arrays import PairArrays, Planes, collect

METADATA = "metadata.jsonl"
PARTS = ("", "label_", "mask_")  # file names of photograph, label and mask begin so in a line


def ordered_pairs(archives: Sequence[Path], count: int | None = None) -> PairArrays:
    """The first ``count`` pairs by index (all) of an order's zips: one, or its volumes together, with or
    without splits, photographs as PNG, JPEG or TIFF.

    Raises:
        ValueError: naming the file, if a zip cannot be read or is not of the default layout or DRIVE's, or
            if two pairs have one index; naming the pair, if its pictures are of another size.
    """
    rows: dict[int, tuple[zipfile.ZipFile, list[str]]] = {}
    with ExitStack() as stack:
        for path in archives:
            archive = stack.enter_context(_opened(path))
            for listing in _listings(archive, path):
                folder = listing.removesuffix(METADATA)
                for row in _lines(archive, listing, path):
                    if row["index"] in rows:
                        raise ValueError(f"{path.name}: pair {row['index']} is in two of the zips")
                    files = [folder + row[f"{part}file_name"] for part in PARTS]
                    rows[row["index"]] = archive, files
        chosen = sorted(rows)[:count]
        names = [f"{index:06d}" for index in chosen]
        return collect(names, (_pair(*rows[index]) for index in chosen))


def order_facts(archive: Path) -> dict[str, Any]:
    """What the manifest in an order's zip says of the ``order`` and of the model ``package``.

    Raises:
        ValueError: if the zip cannot be read or has no manifest.
    """
    with _opened(archive) as opened:
        names = [name for name in opened.namelist() if name.startswith("manifest")]
        if not names:
            raise ValueError(f"{archive.name}: no manifest.json, this is not the zip of an order")
        manifest = json.loads(opened.read(names[0]))
    return {name: manifest[name] for name in ("order", "package")}


def _opened(path: Path) -> zipfile.ZipFile:
    try:
        return zipfile.ZipFile(path)
    except (OSError, zipfile.BadZipFile) as error:
        raise ValueError(f"{path}: not a zip that can be read ({error})") from error


def _listings(archive: zipfile.ZipFile, path: Path) -> list[str]:
    listings = [name for name in archive.namelist() if name.endswith(METADATA)]
    if not listings:
        raise ValueError(f"{path.name}: no {METADATA}, order with the layout imagefolder or drive")
    return listings


def _lines(archive: zipfile.ZipFile, listing: str, path: Path) -> list[dict[str, Any]]:
    wanted = {"index", *(f"{part}file_name" for part in PARTS)}
    try:
        rows = [json.loads(line) for line in archive.read(listing).splitlines()]
    except (ValueError, zipfile.BadZipFile) as error:
        raise ValueError(f"{path.name}: {listing} cannot be read ({error})") from error
    if lacking := [field for row in rows for field in sorted(wanted - row.keys())]:
        raise ValueError(f"{path.name}: {listing}: field {lacking[0]} is missing")
    return rows


def _pair(archive: zipfile.ZipFile, files: list[str]) -> Planes:
    photo, label, mask = (_picture(archive, file) for file in files)
    return photo, label, mask


def _picture(archive: zipfile.ZipFile, name: str) -> NDArray[np.uint8]:
    try:
        with Image.open(io.BytesIO(archive.read(name))) as picture:
            return np.asarray(picture)
    except (KeyError, OSError, zipfile.BadZipFile) as error:
        raise ValueError(f"{archive.filename}: {name} cannot be read ({error})") from error
