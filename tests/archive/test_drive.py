"""The layout of DRIVE."""

import io
import json
import zipfile
from pathlib import Path

import pytest
import yaml

from app.archive.layout import archive_key
from app.storage import Storage
from models.pairs import find_pairs
from tests.archive.orders import make_archive, png

SPLITS = {"train": 0.5, "val": 0.25, "test": 0.25}


@pytest.fixture
def unpacked(storage: Storage, tmp_path: Path) -> Path:
    make_archive(storage, "job", count=8, shard_pairs=3, layout="drive", splits=SPLITS)
    with zipfile.ZipFile(io.BytesIO(storage.read(archive_key("job")))) as archive:
        assert archive.testzip() is None
        archive.extractall(tmp_path / "unpacked")
    return tmp_path / "unpacked"


def test_names_are_those_of_drive(unpacked: Path) -> None:
    files = [path.relative_to(unpacked).as_posix() for path in unpacked.rglob("*.png")]
    assert len(files) == 24
    assert {
        "training/images/000000_training.png",
        "training/1st_manual/000000_manual1.png",
        "training/mask/000000_training_mask.png",
    } <= set(files)
    assert {name.partition("/")[0] for name in files} == {"training", "validation", "test"}
    assert (unpacked / "training/1st_manual/000000_manual1.png").read_bytes() == png(0, 1)


def test_each_split_can_be_trained_on_as_it_is(unpacked: Path) -> None:
    found = {split: find_pairs(unpacked / split) for split in ("training", "validation", "test")}
    assert sum(map(len, found.values())) == 8
    for pairs in found.values():
        for pair in pairs:
            assert pair.mask is not None
            assert pair.photo.name[:6] == pair.label.name[:6] == pair.mask.name[:6]


def test_metadata_and_card_speak_of_these_names(unpacked: Path) -> None:
    first = json.loads((unpacked / "training/metadata.jsonl").read_text().splitlines()[0])
    assert (unpacked / "training" / first["label_file_name"]).exists()
    card = (unpacked / "README.md").read_text()
    assert "`1st_manual/`" in card and "`training/`, `validation/`, `test/`" in card
    assert "load_dataset" not in card
    assert "configs" not in yaml.safe_load(card.split("---\n", 2)[1])
    assert json.loads((unpacked / "manifest.json").read_text())["order"]["layout"] == "drive"
