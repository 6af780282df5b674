"""The torch data set, on archives as the service packs them."""

import io
import json
import zipfile
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image
from torch.utils.data import DataLoader

from app.storage.folder import FolderStorage
from models.dataset import DataError, LabelledPair, MaskedPair, PairDataset
from tests.archive.orders import make_volumes, png

COUNT = 10
SPLITS = {"train": 0.6, "val": 0.4, "test": 0.0}


def delivered(folder: Path, **options: Any) -> list[Path]:
    """The zips of an order."""
    storage = FolderStorage(folder)
    volumes = make_volumes(storage, "ds_1", COUNT, 4, splits=SPLITS, **options)
    return [folder / volume.key for volume in volumes]


def unpacked(zips: list[Path], folder: Path) -> Path:
    for path in zips:
        with zipfile.ZipFile(path) as archive:
            archive.extractall(folder)
    return folder


@pytest.mark.parametrize(
    "options",
    [{}, {"layout": "drive"}, {"volume_pairs": 4}, {"layout": "drive", "volume_pairs": 4}],
)
def test_zips_and_folder_hold_the_same_pairs(tmp_path: Path, options: dict[str, Any]) -> None:
    zips = delivered(tmp_path / "storage", **options)
    folder = unpacked(zips, tmp_path / "unpacked")
    indices = []
    for split in ("train", "val"):
        sources = (zips, folder)
        zipped, plain = (PairDataset(source, split) for source in sources)  # type: ignore[arg-type]
        assert zipped.records == plain.records
        indices += [record["index"] for record in zipped.records]
        # Two processes at once, with a zip that this one has opened.
        loaded = DataLoader(zipped, batch_size=1, num_workers=2)
        for batch, pair in zip(loaded, plain, strict=True):  # type: ignore[arg-type]
            for one, other in zip(batch, pair, strict=True):
                assert torch.equal(one[0], other)
    assert sorted(indices) == list(range(COUNT))
    image, label, mask = pair
    assert (image.shape, label.shape, mask.shape) == ((3, 8, 8), (1, 8, 8), (1, 8, 8))
    assert image.dtype == torch.float32 and 0.5 < image.max() <= 1
    assert set(label.unique().tolist()) == set(mask.unique().tolist()) == {0, 1}


@pytest.mark.parametrize("masks", [["disc", "lesions"], ["lesions"]])
def test_masks_that_the_order_asked_for(tmp_path: Path, masks: list[str]) -> None:
    (path,) = delivered(tmp_path, masks=masks)
    with_masks, without = PairDataset(path), PairDataset(*delivered(tmp_path / "plain"))
    pair = with_masks[1]
    assert isinstance(pair, MaskedPair) and isinstance(without[1], LabelledPair)
    assert torch.equal(torch.cat(pair[:3]), torch.cat(without[1]))
    index, place = with_masks.records[1]["index"], 2 + len(masks)
    kinds = np.asarray(Image.open(io.BytesIO(png(index, place))))
    assert pair.disc.shape[0] == ("disc" in masks)
    if len(masks) == 2:
        np.testing.assert_array_equal(pair.lesions, [kinds == 1, kinds == 2])
        disc = np.asarray(Image.open(io.BytesIO(png(index, 3))))
        np.testing.assert_array_equal(pair.disc[0], disc > 127)
    # Pairs are put together to batches.
    (batch,) = DataLoader(with_masks, batch_size=len(with_masks))
    assert batch.lesions.shape == (len(with_masks), 2, 8, 8)


def test_a_transform_is_given_each_pair(tmp_path: Path) -> None:
    (path,) = delivered(tmp_path)

    def vessel_pixels(pair: LabelledPair) -> float:
        return pair.label.sum().item()

    values = PairDataset(path, transform=vessel_pixels)
    assert [values[n] for n in range(len(values))] == [
        PairDataset(path)[n].label.sum().item() for n in range(len(values))
    ]


def test_what_cannot_be_read_is_named(tmp_path: Path) -> None:
    (path,) = delivered(tmp_path)
    with pytest.raises(DataError, match="'test'"):
        PairDataset(path, "test")
    with pytest.raises(DataError, match="nowhere"):
        PairDataset(tmp_path / "nowhere")
    tars = delivered(tmp_path / "tars", layout="webdataset")
    with pytest.raises(DataError, match="webdataset library"):
        PairDataset(tars)
    folder = unpacked([path], tmp_path / "unpacked")
    line = json.loads((folder / "train" / "metadata.jsonl").read_text().splitlines()[0])
    (folder / "train" / line["label_file_name"]).write_bytes(b"no picture")
    with pytest.raises(DataError, match=f"train/{line['label_file_name']}"):
        PairDataset(folder)[0]
