"""Masks of optic disc and lesions, of orders that ask for them."""

import io
import json
import tarfile
import zipfile
from pathlib import Path
from typing import Any, get_args

import numpy as np
import pytest
import webdataset
from PIL import Image

from app.archive.layout import ImageRole
from app.archive.pack import discard_segments
from app.archive.pairs import read_pair
from app.archive.plan import Plan
from app.storage import Storage
from tests.archive.loading import load
from tests.archive.orders import make_volumes, order, picture_of, png

COUNT = 5
BOTH = ["disc", "lesions"]
ROLES: tuple[ImageRole, ...] = get_args(ImageRole)
# Where the images of pair 4 lie in the folder of its split, in the order of their roles.
NAMES = {
    "imagefolder": [
        f"{folder}/000004.png" for folder in ("images", "labels", "masks", "discs", "lesions")
    ],
    "drive": [
        "images/000004_training.png",
        "1st_manual/000004_manual1.png",
        "mask/000004_training_mask.png",
        "disc/000004_training_disc.png",
        "lesions/000004_training_lesions.png",
    ],
    "webdataset": [f"000004.{role}.png" for role in ROLES],
}


def pixels(png: bytes) -> np.ndarray:
    return np.asarray(Image.open(io.BytesIO(png)))


@pytest.mark.parametrize("masks", [BOTH, ["lesions"]])
@pytest.mark.parametrize("volume_pairs", [None, 2])
@pytest.mark.parametrize("layout", NAMES)
def test_they_lie_beside_the_other_images(
    storage: Storage, layout: str, volume_pairs: int | None, masks: list[str]
) -> None:
    asked = {"layout": layout, "volume_pairs": volume_pairs, "masks": masks}
    volumes = make_volumes(storage, "job", COUNT, 2, **asked)
    places = [place for place, role in enumerate(ROLES) if role not in BOTH or role in masks]
    names = [NAMES[layout][place] for place in places]
    with zipfile.ZipFile(io.BytesIO(storage.read(volumes[-1].key))) as archive:
        assert archive.testzip() is None
        manifest_name = next(name for name in archive.namelist() if name.startswith("manifest"))
        manifest = json.loads(archive.read(manifest_name))
        card = archive.read("README.md").decode()
        if layout == "webdataset":
            (tar_name,) = [name for name in archive.namelist() if name.endswith(".tar")]
            with tarfile.open(fileobj=io.BytesIO(archive.read(tar_name))) as tar:
                members = tar.getmembers()[-len(names) - 1 :]
                assert [member.name for member in members] == [*names, "000004.json"]
                files = [tar.extractfile(member).read() for member in members]  # type: ignore[union-attr]
                files, line = files[:-1], json.loads(files[-1])
        else:
            metadata = next(name for name in archive.namelist() if name.endswith(".jsonl"))
            folder = metadata.rpartition("/")[0] + "/"
            line = json.loads(archive.read(metadata).splitlines()[-1])
            files = [archive.read(folder + name) for name in names]
            assert manifest["files"].keys() >= {folder + name for name in names}
    assert [value for key, value in line.items() if key.endswith("file_name")] == names
    expected = [png(4, index) for index in range(len(places))]
    assert files == expected
    pairs = manifest["counts"].pop("pairs")
    assert manifest["order"]["masks"] == masks
    assert manifest["counts"] == {
        name: pairs
        for name in ("images", "labels", "masks", "discs", "lesions")
        if name != "discs" or "disc" in masks
    }
    assert "1 dark (microaneurysms, haemorrhages), 2 bright (exudates)" in card
    assert ("optic disc, one channel" in card) == ("disc" in masks)

    plan = Plan.of(order(COUNT, **asked), 2)
    roles = [ROLES[place] for place in places]
    found = [read_pair(storage, "job", plan, 4, role, None) for role in roles]
    discard_segments(storage, "job", range(plan.shards))
    assert found == [
        read_pair(storage, "job", plan, 4, role, volumes[-1].key) for role in roles
    ] == expected  # fmt: skip


@pytest.mark.parametrize("parts", ["embedded"], indirect=True)
@pytest.mark.parametrize("layout", ["imagefolder", "webdataset"])
def test_loaders_read_them(
    storage: Storage, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, layout: str
) -> None:
    (archive,) = make_volumes(storage, "job", COUNT, 2, layout=layout, masks=BOTH)
    folder = tmp_path / "unpacked"
    with zipfile.ZipFile(io.BytesIO(storage.read(archive.key))) as opened:
        opened.extractall(folder)
    card = (folder / "README.md").read_text()
    if layout == "imagefolder":
        pairs: Any = load(folder, "imagefolder", monkeypatch, split="train")
        rows = [(row["disc"], row["lesions"]) for row in pairs]
        assert 'pairs[0]["mask"], pairs[0]["disc"], pairs[0]["lesions"]' in card
    else:
        tars = [str(path) for path in folder.glob("train/*.tar")]
        pairs = webdataset.WebDataset(tars, shardshuffle=False).decode("pil")
        # This decoder makes everything RGB.
        rows = [
            [image.convert("L") for image in row]
            for row in pairs.to_tuple("disc.png", "lesions.png")
        ]
        assert "for image, label, mask, disc, lesions, facts in" in card
        assert '"mask.png", "disc.png", "lesions.png", "json"' in card
    assert len(rows) == COUNT
    for index, row in enumerate(rows):
        for which, image in enumerate(row, start=3):
            np.testing.assert_array_equal(np.asarray(image), pixels(picture_of(index, which)))
