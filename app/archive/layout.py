"""Where things lie: the parts of a job's archive in storage, and the files inside the archive."""

import struct
from collections.abc import Mapping
from dataclasses import dataclass
from itertools import accumulate
from typing import Any, Literal

from app.archive.formats import format_of

README = "README.md"
MANIFEST = "manifest.json"
METADATA = "metadata.jsonl"
SPLITS = ("train", "val", "test")
WHOLE = {"train": 1.0}  # the splits of an order that asks for none

# The images of a pair, in the order in which they stand in the archive.
ImageRole = Literal["image", "label", "mask", "disc", "lesions"]
REQUIRED_ROLES: tuple[ImageRole, ...] = ("image", "label", "mask")  # of every pair
OPTIONAL_ROLES: tuple[ImageRole, ...] = ("disc", "lesions")  # of orders that ask for them

NOT_PACKED = 2**64 - 1

# Indices in a row whose pairs share a tar, one for each split: fixed, so that tars do not depend on
# how an order is cut into shards.
TAR_PAIRS = 256

# 2**32 over the golden ratio: its multiples, modulo 2**32, fill the range evenly from the start.
GOLDEN, RANGE = 2_654_435_769, 2**32


def splits_of(order: Mapping[str, Any]) -> dict[str, float]:
    """The order's splits, those with no share left out: name and share of the pairs."""
    shares = order.get("splits") or WHOLE
    return {name: shares[name] for name in SPLITS if shares.get(name)}


def split_of(index: int, order: Mapping[str, Any]) -> str:
    """The split of pair ``index``.

    It depends on index and shares alone, not on the count: a larger order with the same seed keeps
    every pair where it was. And the first n pairs fill each split to its share within a few pairs.
    Of given maps, all pairs of one map are in one split.
    """
    shares = splits_of(order)
    if order.get("maps"):
        index %= order["maps"]["count"]
    place = index * GOLDEN % RANGE
    for name, end in zip(shares, accumulate(shares.values()), strict=True):
        if place < round(end * RANGE):
            return name
    return name


@dataclass(frozen=True)
class Layout:
    """How the files of an archive are named; what stands in braces is filled in.

    Nothing but README.md, which is the same in all, has the same name in two volumes of an order.
    """

    folders: Mapping[str, str]  # of each split
    files: Mapping[ImageRole, str]
    tar: str | None = None  # that holds the pairs, if they lie in tars
    apart: bool = False  # each of several volumes has folders of its own


LAYOUTS = {
    # As Hugging Face datasets reads it.
    "imagefolder": Layout(
        {name: name for name in SPLITS},
        {
            "image": "images/{stem}.{extension}",
            "label": "labels/{stem}.png",
            "mask": "masks/{stem}.png",
            "disc": "discs/{stem}.png",
            "lesions": "lesions/{stem}.png",
        },
        apart=True,
    ),
    # As programs written for DRIVE expect it (Staal et al. 2004), but for the file format. DRIVE has
    # neither discs nor lesions: they are named as its masks are.
    "drive": Layout(
        {"train": "training", "val": "validation", "test": "test"},
        {
            "image": "images/{stem}_{split}.{extension}",
            "label": "1st_manual/{stem}_manual1.png",
            "mask": "mask/{stem}_{split}_mask.png",
            "disc": "disc/{stem}_{split}_disc.png",
            "lesions": "lesions/{stem}_{split}_lesions.png",
        },
    ),
    # As the webdataset library reads it: a pair's files have the same name up to the first dot.
    "webdataset": Layout(
        {name: name for name in SPLITS},
        {
            "image": "{stem}.image.{extension}",
            "label": "{stem}.label.png",
            "mask": "{stem}.mask.png",
            "disc": "{stem}.disc.png",
            "lesions": "{stem}.lesions.png",
        },
        tar="{split}-{block:06d}.tar",
    ),
}


def layout_of(order: Mapping[str, Any]) -> Layout:
    return LAYOUTS[order.get("layout") or "imagefolder"]


def image_roles(order: Mapping[str, Any]) -> tuple[ImageRole, ...]:
    """The images of each pair of the order, in the order in which they stand in the archive."""
    masks = order.get("masks") or ()
    return (*REQUIRED_ROLES, *(role for role in OPTIONAL_ROLES if role in masks))


def volume_of(index: int, order: Mapping[str, Any]) -> int | None:
    """The number of the volume that pair ``index`` is in, from 1; None where there is only one."""
    volume_pairs = order.get("volume_pairs")
    return None if volume_pairs is None else index // volume_pairs + 1


def of_volume(name: str, volume: int | None) -> str:
    """The name of a file that each volume has: with its number, where there are several."""
    if volume is None:
        return name
    stem, _, ending = name.rpartition(".")
    return f"{stem}-{volume:03d}.{ending}"


def folder_of_split(split: str, order: Mapping[str, Any], volume: int | None) -> str:
    layout = layout_of(order)
    folder = layout.folders[split]
    return f"{folder}/{volume:03d}" if layout.apart and volume is not None else folder


def stem_of(index: int, order: Mapping[str, Any]) -> str:
    """What the names of pair ``index`` have in common."""
    return f"{index:0{6 if order['count'] <= 1_000_000 else 7}d}"


def pair_names(index: int, order: Mapping[str, Any]) -> dict[ImageRole, str]:
    """The names of the images of pair ``index`` of an order, in the archive or in its tar."""
    layout, split = layout_of(order), split_of(index, order)
    folder = f"{folder_of_split(split, order, volume_of(index, order))}/"
    parts = {
        "split": layout.folders[split],
        "stem": stem_of(index, order),
        "extension": format_of(order).extension,
    }
    place = "" if layout.tar else folder
    return {role: place + layout.files[role].format(**parts) for role in image_roles(order)}


def tar_name(index: int, order: Mapping[str, Any]) -> str:
    """The name of the tar that pair ``index`` is in, of an order whose layout has tars."""
    layout = layout_of(order)
    assert layout.tar is not None
    split = layout.folders[split_of(index, order)]
    return f"{split}/{layout.tar.format(split=split, block=index // TAR_PAIRS)}"


def metadata_name(split: str, order: Mapping[str, Any], volume: int | None = None) -> str:
    name = METADATA if layout_of(order).apart else of_volume(METADATA, volume)
    return f"{folder_of_split(split, order, volume)}/{name}"


def manifest_name(volume: int | None) -> str:
    return of_volume(MANIFEST, volume)


def segment_key(job_id: str, ordinal: int) -> str:
    return f"jobs/{job_id}/shards/{ordinal:06d}.segment"


def index_key(job_id: str, ordinal: int) -> str:
    return f"jobs/{job_id}/shards/{ordinal:06d}.index"


def tail_key(job_id: str, volume: int | None = None) -> str:
    """The archive's own files and its directory, there only while the archive is packed."""
    return of_volume(f"jobs/{job_id}/tail.segment", volume)


def offsets_key(job_id: str, volume: int | None = None) -> str:
    """Where each segment starts in the archive (see :func:`pack_offsets`)."""
    return of_volume(f"jobs/{job_id}/dataset.offsets", volume)


def pack_offsets(offsets: Mapping[int, int]) -> bytes:
    """What is stored there: 8 bytes a shard of the volume, little endian.

    ``offsets`` are those of the shards that are in it, by their place; the others get NOT_PACKED.
    """
    length = max(offsets) + 1
    return struct.pack(f"<{length}Q", *(offsets.get(n, NOT_PACKED) for n in range(length)))


def archive_key(job_id: str, volume: int | None = None) -> str:
    return of_volume(f"jobs/{job_id}/dataset.zip", volume)
