"""An order's zips, as the service writes them, read for an evaluation."""

import io
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from app.storage.folder import FolderStorage
from models.evaluation.orders import order_facts, ordered_pairs
from tests.archive.orders import DIGEST, make_volumes, picture_of

COUNT = 11


def zips(folder: Path, **options: object) -> list[Path]:
    storage = FolderStorage(folder)

    def picture(index: int, which: int) -> bytes:
        return picture_of(index, which, str(options.get("image_format", "png")))

    volumes = make_volumes(storage, "job", COUNT, 3, picture, **options)
    paths = []
    for volume in volumes:
        paths.append(folder / f"{volume.number}.zip")
        paths[-1].write_bytes(storage.read(volume.key))
    return paths


@pytest.mark.parametrize(
    "options",
    [
        {},
        {"splits": {"train": 0.5, "test": 0.5}, "volume_pairs": 4},
        {"layout": "drive", "splits": {"train": 0.5, "val": 0.5}, "image_format": "tiff"},
    ],
)
def test_every_pair_is_read_in_the_order_of_its_index(tmp_path: Path, options: dict) -> None:
    paths = zips(tmp_path, **options)
    pairs = ordered_pairs(paths[::-1])
    assert pairs.names == tuple(f"{i:06d}" for i in range(COUNT))
    for i in range(COUNT):
        photo, label, mask = (
            np.asarray(Image.open(io.BytesIO(picture_of(i, w)))) for w in range(3)
        )
        assert np.array_equal(pairs.labels[i], label > 0)
        assert np.array_equal(pairs.photos[i], photo * (mask > 0)[..., None])
    assert len(ordered_pairs(paths, 5)) == 5
    assert order_facts(paths[0])["package"]["digest"] == DIGEST


def test_what_cannot_be_read_is_named(tmp_path: Path) -> None:
    first, *_ = zips(tmp_path / "a", volume_pairs=6)
    (tars,) = zips(tmp_path / "b", layout="webdataset")
    (tmp_path / "cut.zip").write_bytes(first.read_bytes()[:500])
    for paths, words in (
        ([first, first], "1.zip: pair 0 is in two"),
        ([tars], "no metadata.jsonl, order with the layout"),
        ([tmp_path / "cut.zip"], "cut.zip: not a zip"),
    ):
        with pytest.raises(ValueError, match=words):
            ordered_pairs(paths)
