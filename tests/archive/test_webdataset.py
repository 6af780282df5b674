"""The webdataset layout: tars of 256 indices, read by tarfile, by webdataset and by datasets."""

import io
import json
import tarfile
import zipfile
from pathlib import Path

import numpy as np
import pytest
import webdataset
from PIL import Image

from app.archive.layout import TAR_PAIRS, archive_key, split_of
from app.archive.pack import discard_segments, pack
from app.archive.pairs import read_pair
from app.archive.plan import Plan
from app.storage import Storage
from app.storage.s3 import S3Storage
from tests.app.test_storage import Calls
from tests.archive.loading import load
from tests.archive.orders import DIGEST, PACKAGE, make_archive, order, png, write_shards

COUNT = 600
ASKED = {"layout": "webdataset", "splits": {"train": 0.75, "val": 0.25}}


@pytest.fixture
def unpacked(storage: Storage, tmp_path: Path) -> Path:
    make_archive(storage, "job", COUNT, 300, **ASKED)
    with zipfile.ZipFile(io.BytesIO(storage.read(archive_key("job")))) as archive:
        assert archive.testzip() is None
        archive.extractall(tmp_path / "unpacked")
    return tmp_path / "unpacked"


def test_each_tar_has_the_pairs_of_its_indices_and_split(unpacked: Path) -> None:
    found = []
    for path in sorted(unpacked.glob("*/*.tar")):
        split, block = path.stem.split("-")
        with tarfile.open(path, format=tarfile.USTAR_FORMAT) as tar:
            members = tar.getmembers()
            assert all((m.mtime, m.uid, m.gid, m.mode) == (0, 0, 0, 0o644) for m in members)
            for place in range(0, len(members), 4):
                names = [member.name for member in members[place : place + 4]]
                stem = names[0][:6]
                ends = (".image.png", ".label.png", ".mask.png", ".json")
                assert names == [stem + end for end in ends]
                index = int(stem)
                assert (split_of(index, ASKED), index // TAR_PAIRS) == (split, int(block))
                data = [tar.extractfile(name).read() for name in names]  # type: ignore[union-attr]
                assert data[:3] == [png(index, which) for which in range(3)]
                assert json.loads(data[3]) == {
                    "file_name": names[0],
                    "label_file_name": names[1],
                    "mask_file_name": names[2],
                    "index": index,
                    "seed": 2**62 + index,
                    "vessel_share": index / COUNT,
                }
                found.append(index)
    assert sorted(found) == list(range(COUNT))


def test_manifest_and_card_speak_of_the_tars(unpacked: Path) -> None:
    manifest = json.loads((unpacked / "manifest.json").read_text())
    tars = [f"{split}/{split}-{block:06d}.tar" for block in range(3) for split in ("train", "val")]
    assert sorted(manifest["files"]) == sorted(["README.md", *tars])
    assert sum(manifest["splits"].values()) == len(manifest["seeds"]) == COUNT
    assert "`000000.image.png`" in (unpacked / "README.md").read_text()


@pytest.mark.parametrize("shard_pairs", [13, 32, 257, 600])
def test_same_bytes_with_any_shard_size(storage: Storage, shard_pairs: int) -> None:
    expected = make_archive(storage, "one", COUNT, 512, **ASKED)
    archive = make_archive(storage, "other", COUNT, shard_pairs, **ASKED)
    assert storage.read(archive.key) == storage.read(expected.key)


def test_webdataset_reads_it(unpacked: Path) -> None:
    tars = sorted(map(str, unpacked.glob("train/*.tar")))
    pairs = webdataset.WebDataset(tars, shardshuffle=False).decode("pil")
    rows = list(pairs.to_tuple("image.png", "label.png", "mask.png", "json"))
    assert len(rows) == sum(split_of(index, ASKED) == "train" for index in range(COUNT))
    for image, label, _, facts in rows[:20]:
        for which, picture in enumerate((image, label.convert("L"))):
            expected = Image.open(io.BytesIO(png(facts["index"], which)))
            np.testing.assert_array_equal(np.asarray(picture), np.asarray(expected))


def test_load_dataset(unpacked: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    loaded = load(unpacked, "card", monkeypatch)
    assert set(loaded) == {"train", "validation"}
    assert sum(rows.num_rows for rows in loaded.values()) == COUNT
    assert {"image.png", "label.png", "mask.png", "json"} <= set(loaded["train"].column_names)


def test_single_pictures_before_and_after_packing(storage: Storage) -> None:
    plan = Plan.of(order(COUNT, **ASKED), 1)
    shards = write_shards(storage, "job", COUNT, 1, **ASKED)
    picked = [(0, "image", 0), (255, "label", 1), (256, "mask", 2), (599, "image", 0)]
    for index, which, place in picked:
        assert read_pair(storage, "job", plan, index, which, None) == png(index, place)
    archive = pack(storage, "job", range(shards), 1, order(COUNT, **ASKED), PACKAGE, DIGEST)
    discard_segments(storage, "job", range(shards))
    for index, which, place in picked:
        assert read_pair(storage, "job", plan, index, which, archive.key) == png(index, place)


def test_part_of_an_order(storage: Storage) -> None:
    asked = {"layout": "webdataset", "image_format": "jpeg"}
    write_shards(storage, "job", COUNT, 1, **asked)
    archive = pack(storage, "job", [1], 1, order(COUNT, **asked), PACKAGE, DIGEST)
    with zipfile.ZipFile(io.BytesIO(storage.read(archive.key))) as opened:
        assert opened.namelist() == ["train/train-000001.tar", "README.md", "manifest.json"]
        with tarfile.open(fileobj=opened.open("train/train-000001.tar")) as tar:
            assert tar.getnames()[0] == "000256.image.jpg"


@pytest.mark.parametrize("parts", ["production"], indirect=True)
def test_packing_reads_no_picture(storage: S3Storage) -> None:
    shards = write_shards(storage, "job", 512, 1, lambda index, place: bytes(8192), **ASKED)
    calls = Calls(storage)
    pack(storage, "job", range(shards), 1, order(512, **ASKED), PACKAGE, DIGEST)
    assert calls["UploadPartCopy"] == shards == 2
    assert calls["GetObject"] == shards + 1  # the indexes, and the directory, which is small
