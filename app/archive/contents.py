"""The files that the service itself adds to an archive: card, manifest, metadata.

They speak of the order and the package only, never of the job, the time or the worker, so that the
same order gives the same bytes.
"""

import json
from collections.abc import Collection, Mapping, Sequence
from typing import Any

from app.archive.constraints import constraint_rows, selection
from app.archive.formats import PNG, format_of
from app.archive.layout import (
    LAYOUTS,
    MANIFEST,
    TAR_PAIRS,
    ImageRole,
    image_roles,
    layout_of,
    of_volume,
    pair_names,
    stem_of,
)
from app.archive.segment import PairRecord

FORMAT = "fundusmith-dataset/1"
ORDERED = (
    "count",
    "resolution",
    "model",
    "seed",
    "splits",
    "layout",
    "image_format",
    "volume_pairs",
    "style_seed",
    "eye",
    "vessel_share",
    "minimum_quality",
    "maps",
    "not_like",
    "lesions",
    "masks",
)
HUB_SPLITS = {"train": "train", "val": "validation", "test": "test"}

# Licence ids that the Hugging Face hub knows and that a package is likely to carry.
HUB_LICENCES = {"cc0-1.0", "cc-by-4.0", "cc-by-sa-4.0", "cc-by-nc-4.0", "cc-by-nc-sa-4.0"}

# What the manifest calls the images of all pairs.
COUNTED: dict[ImageRole, str] = {
    "image": "images",
    "label": "labels",
    "mask": "masks",
    "disc": "discs",
    "lesions": "lesions",
}

SIZE_CATEGORIES = (
    (1_000, "n<1K"),
    (10_000, "1K<n<10K"),
    (100_000, "10K<n<100K"),
    (1_000_000, "100K<n<1M"),
)


def metadata_line(record: PairRecord, folder: str = "") -> bytes:
    """A line of metadata.jsonl in ``folder``, which ends in ``/``.

    Keys that end in ``file_name`` become image columns on loading.
    """
    names = {
        "file_name" if role == "image" else f"{role}_file_name": entry.name.removeprefix(folder)
        for role, entry in record.entries.items()
    }
    line = {
        **names,
        "index": record.index,
        "seed": record.seed,
        "vessel_share": record.vessel_share,
        **(record.quality or {}),
        **({} if record.map is None else {"map": record.map}),
    }
    return json.dumps(line).encode() + b"\n"


def manifest_head(
    order: Mapping[str, Any],
    package: Mapping[str, Any],
    package_digest: str,
    environments: Sequence[Mapping[str, Any]],
    splits: Mapping[str, int],
    rejected: Mapping[str, int] = {},
    volume: int | None = None,
) -> bytes:
    """The manifest up to and without its two long members, ``seeds`` and ``files``.

    ``splits`` has the number of pairs in each split, of this volume alone; ``rejected`` that of the
    candidates turned away for them, by the measures that the order limits.
    """
    pairs = sum(splits.values())
    data_sets = package["training_data"].get("data_sets")
    head = {
        "format": FORMAT,
        "order": _shown(order),
        **({} if volume is None else {"volume": volume}),
        "package": {
            "name": package["name"],
            "version": package["version"],
            "digest": package_digest,
            "licence": package["licence"],
            **({"data_sets": data_sets} if data_sets else {}),
        },
        "environments": environments,
        "counts": dict.fromkeys(("pairs", *(COUNTED[role] for role in image_roles(order))), pairs),
        "splits": splits,
        **({"rejected": rejected} if rejected else {}),
    }
    return json.dumps(head, indent=2, ensure_ascii=False).removesuffix("\n}").encode()


def _shown(order: Mapping[str, Any]) -> dict[str, Any]:
    """What the manifest says of the order: what makes it, and not what a job made of it."""
    shown = {name: order[name] for name in ORDERED if order.get(name) is not None}
    for field in ("maps", "not_like"):
        if maps := shown.get(field):
            # The same maps may be uploaded again, under another id.
            shown[field] = {name: value for name, value in maps.items() if name != "upload"}
    return shown


def manifest_file(name: str, sha256: str) -> bytes:
    """A member of the manifest's ``files``."""
    return f'    "{name}": "{sha256}"'.encode()


DRAWN = """Both were drawn by
neural networks: no picture here is of a real eye."""
DRAWN_FROM_MAPS = """The maps were
given; a neural network drew the photographs, none of which is of a real eye."""

FOR_DATASETS = """\
```python
from datasets import load_dataset

pairs = load_dataset("imagefolder", data_dir="path/to/this/folder", split="train")
{columns}
```"""

FOR_PAIRS = """\
Folders and names are those of DRIVE ({formats}): a program that reads DRIVE finds the
pairs by the number that their names begin with."""


FOR_WEBDATASET = """\
```python
from glob import glob

import webdataset

tars = sorted(glob("path/to/this/folder/train/*.tar"))
pairs = webdataset.WebDataset(tars, shardshuffle=False).decode("pil")
for {variables}, facts in pairs.to_tuple({members}, "json"):
    ...
```"""

DESCRIBED: dict[ImageRole, str] = {
    "image": "the photographs, {photographs}.",
    "label": "the vessels, one channel, 0 or 255.",
    "mask": "the field of view, one channel, 0 or 255; the photograph is black outside.",
    "disc": "the optic disc, one channel, 0 or 255.",
    "lesions": "lesions, one channel: 0 none, 1 dark (microaneurysms, haemorrhages), 2 bright (exudates).",
}

IN_TARS = """In {folders}, tar files. Each holds the pairs of {tar_pairs} indices in a row; the first of them is its
number times {tar_pairs}. A pair's files:"""


UNPACKING = """\
Unpack all volumes into one folder: they overwrite nothing of each other but this file, which is the
same in all. Each can be used alone, too.

"""


def folder_of(name: str) -> str:
    return name.rpartition("/")[0] + "/"


def _configs(splits: Collection[str]) -> str:
    """What tells Hugging Face datasets where the splits are."""
    files = "".join(f"  - split: {HUB_SPLITS[name]}\n    path: {name}/**\n" for name in splits)
    return f"configs:\n- config_name: default\n  data_files:\n{files}"


def _origin(training_data: Mapping[str, Any]) -> str:
    """What the model was trained on: each data set, where its package lists several."""
    data_sets = training_data.get("data_sets")
    if not data_sets:
        return (
            f"The model was trained on {training_data['name']} ({training_data['url']}),\n"
            f"licence {training_data['licence']}. {training_data['attribution']}"
        )
    lines = [
        f"- {each['name']} ({each['url']}), licence {each['licence']}. {each['attribution']}"
        for each in data_sets
    ]
    experts, traced = (training_data.get(f"{kind}_labels") for kind in ("expert", "traced"))
    if experts is not None and traced is not None:
        lines += [
            "",
            f"Vessel labels: {experts} by experts, {traced} pseudo-labels of a segmenter trained on them.",
        ]
    return "\n".join(["The model was trained on these data sets:", "", *lines])


def card(
    order: Mapping[str, Any],
    package: Mapping[str, Any],
    count: int,
    splits: Collection[str],
    rejected: Mapping[str, int] | None = None,
) -> str:
    """README.md: the data set card, with the head that the Hugging Face hub and library read.

    It speaks of all volumes, and is the same in each: ``count`` is the number of pairs in them
    together, ``splits`` names those that have any. ``rejected`` is as for :func:`manifest_head`; None
    of several volumes, none of which knows of the others.
    """
    resolution, volume_pairs = order["resolution"], order.get("volume_pairs")
    ordered = "" if count == order["count"] else f" of {order['count']} ordered; it was cancelled"
    licence = package["licence"]
    if licence.lower() in HUB_LICENCES:
        licence_head = f"license: {licence.lower()}"
    else:
        licence_head = f"license: other\nlicense_name: {json.dumps(licence)}"
    layout = layout_of(order)
    folders = ", ".join(f"`{layout.folders[split]}/`" for split in splits)
    image_format = format_of(order)
    if image_format is PNG:
        photographs, formats = "RGB, 8 bit", "the pictures are PNG"
    else:
        photographs = f"RGB, 8 bit, {image_format.title}"
        formats = f"the photographs are {image_format.title}, the maps PNG"
    where, configs = f"In {folders}:", _configs(splits)
    manifest = software = f"`{MANIFEST}`"
    volumes = unpacking = ""
    if volume_pairs is not None:
        manifest, software = f"`{of_volume(MANIFEST, 1)}` and so on, one a volume", "its manifest"
        volumes = f"\n| Volumes | one for each {volume_pairs} indices |"
        unpacking = UNPACKING
        if layout.apart:
            where = f"In {folders}, in a folder for each volume:"
    roles = image_roles(order)
    places = {role: folder_of(layout.files[role]) for role in roles}
    metadata = "`metadata.jsonl`: a line a pair: file names, index"
    if layout is LAYOUTS["imagefolder"]:
        loading = FOR_DATASETS.format(columns=", ".join(f'pairs[0]["{role}"]' for role in roles))
    elif layout.tar is None:
        configs, loading = "", FOR_PAIRS.format(formats=formats)
    else:
        where = IN_TARS.format(folders=folders, tar_pairs=TAR_PAIRS)
        places = pair_names(0, order)
        metadata = f"`{stem_of(0, order)}.json`: index"
        members = (f'"{places[role].partition(".")[2]}"' for role in roles)
        loading = FOR_WEBDATASET.format(variables=", ".join(roles), members=", ".join(members))
    described = "".join(
        f"- `{places[role]}`: {DESCRIBED[role].format(photographs=photographs)}\n" for role in roles
    )
    drawn = DRAWN_FROM_MAPS if order.get("maps") else DRAWN
    size = next((name for limit, name in SIZE_CATEGORIES if count < limit), "1M<n<10M")
    title = f"{count} synthetic fundus photographs with vessel labels, {resolution} px"
    return f"""\
---
{licence_head}
pretty_name: {json.dumps(title)}
size_categories:
- {size}
task_categories:
- image-segmentation
- image-to-image
task_ids:
- semantic-segmentation
tags:
- synthetic
- medical
- retina
- fundus
{configs}---

# {title}

Each pair is a fundus photograph and the map of exactly the vessels it shows. {drawn}

| | |
|---|---|
| Pairs | {count}{ordered} |
| Size | {resolution} x {resolution} px |
| Model | {package["name"]}, version {package["version"]} |
| Seed of the order | {order["seed"]} |
{constraint_rows(order)}\
| Licence | {licence} |{volumes}

## Files

{where}

{described}\
- {metadata}, seed, and the share of the field of
  view that is vessel (0 to 1).

Beside them:

- {manifest}: the order, the model's digest, the software that drew the pairs, each pair's
  seed, and the SHA-256 of each file.

{selection(order, rejected)}\
## How to load

{unpacking}{loading}

## Intended use

To train and to test programs that segment retinal vessels, most of all together with real
photographs: as additional training data, or as a first stage before real ones.

## Limits

- Synthetic. Not for diagnosis, and no substitute for a test on real photographs.
- The pairs show no more variety than the real ones the model learnt from: their cameras, their
  people, their diseases.
- The labels are exact for the drawn vessels, not an expert's reading of a photograph.

## Where it comes from

{_origin(package["training_data"])}

The same order to the same model, with the software that {software} names, gives the same bytes.
"""
