"""Orders that ask for train, validation and test folders."""

import io
import json
import zipfile
from collections import Counter
from pathlib import Path

import pytest

from app.archive.layout import archive_key, split_of, splits_of
from app.storage import Storage
from tests.archive.loading import load
from tests.archive.orders import make_archive, order

SPLITS = {"train": 0.7, "val": 0.2, "test": 0.1}


@pytest.mark.parametrize("count", [10, 100, 999, 20_000])
def test_each_split_has_its_share_within_a_few_pairs(count: int) -> None:
    asked = order(count, splits=SPLITS)
    found = Counter(split_of(index, asked) for index in range(count))
    for name, share in SPLITS.items():
        assert abs(found[name] - share * count) <= 4


def test_a_pair_stays_in_its_split_in_a_larger_order() -> None:
    small, large = order(10, splits=SPLITS), order(10_000, splits=SPLITS)
    assert [split_of(i, small) for i in range(10)] == [split_of(i, large) for i in range(10)]


def test_a_split_without_a_share_is_not_there() -> None:
    assert list(splits_of(order(9, splits={"train": 0.5, "val": 0.0, "test": 0.5}))) == [
        "train",
        "test",
    ]
    assert splits_of(order(9)) == {"train": 1.0}


def test_a_share_that_rounding_makes_too_small_loses_no_pair() -> None:
    thirds = order(1, splits={"train": 1 / 3, "val": 1 / 3, "test": 1 / 3 - 1e-7})
    assert {split_of(index, thirds) for index in range(100_000)} == {"train", "val", "test"}


@pytest.fixture
def unpacked(storage: Storage, tmp_path: Path) -> Path:
    make_archive(storage, "job", count=20, shard_pairs=6, splits=SPLITS)
    with zipfile.ZipFile(io.BytesIO(storage.read(archive_key("job")))) as archive:
        archive.extractall(tmp_path / "unpacked")
    return tmp_path / "unpacked"


def test_every_file_is_in_the_folder_of_its_split(unpacked: Path) -> None:
    asked = order(20, splits=SPLITS)
    manifest = json.loads((unpacked / "manifest.json").read_text())
    assert manifest["order"]["splits"] == SPLITS
    assert sum(manifest["splits"].values()) == 20
    for split in SPLITS:
        lines = (unpacked / split / "metadata.jsonl").read_text().splitlines()
        indices = [json.loads(line)["index"] for line in lines]
        assert indices == [index for index in range(20) if split_of(index, asked) == split]
        assert len(indices) == manifest["splits"][split]
        for line in map(json.loads, lines):
            for field in ("file_name", "label_file_name", "mask_file_name"):
                assert (unpacked / split / line[field]).exists()


@pytest.mark.parametrize("by", ["imagefolder", "card"])
def test_load_dataset_gives_every_split(
    unpacked: Path, by: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    loaded = load(unpacked, by, monkeypatch)
    manifest = json.loads((unpacked / "manifest.json").read_text())
    names = {"train": "train", "val": "validation", "test": "test"}
    assert {names[split]: n for split, n in manifest["splits"].items()} == {
        name: rows.num_rows for name, rows in loaded.items()
    }


def test_a_split_that_a_small_order_leaves_empty_is_left_out(storage: Storage) -> None:
    make_archive(storage, "job", count=1, shard_pairs=6, splits=SPLITS)
    with zipfile.ZipFile(io.BytesIO(storage.read(archive_key("job")))) as archive:
        folders = {name.partition("/")[0] for name in archive.namelist() if "/" in name}
        assert folders == {"train"}
        assert "path: val/" not in archive.read("README.md").decode()
