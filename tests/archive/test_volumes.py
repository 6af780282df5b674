"""Orders that come in several volumes."""

import hashlib
import io
import json
import zipfile
from pathlib import Path
from typing import Any

import pytest

from app.archive.layout import layout_of, split_of
from app.archive.pack import PackedArchive, discard_segments, pack
from app.archive.pairs import PairNotReady, read_pair
from app.archive.plan import Plan
from app.storage import Storage
from app.storage.s3 import S3Storage
from tests.app.test_storage import Calls
from tests.archive.loading import load
from tests.archive.orders import DIGEST, PACKAGE, make_volumes, order, png, write_shards

COUNT = 22
ASKED: dict[str, Any] = {"volume_pairs": 8, "splits": {"train": 0.75, "val": 0.25}}


def open_volume(storage: Storage, volume: PackedArchive) -> zipfile.ZipFile:
    return zipfile.ZipFile(io.BytesIO(storage.read(volume.key)))


def unpack(storage: Storage, volumes: list[PackedArchive], folder: Path) -> Path:
    """All into one folder; what is overwritten must have been the same."""
    for volume in volumes:
        with open_volume(storage, volume) as archive:
            assert archive.testzip() is None
            for name in archive.namelist():
                before = folder / name
                assert not before.exists() or before.read_bytes() == archive.read(name)
            archive.extractall(folder)
    return folder


def test_each_is_whole(storage: Storage) -> None:
    volumes = make_volumes(storage, "job", COUNT, 3, **ASKED)
    assert [(v.number, v.key, v.pairs) for v in volumes] == [
        (1, "jobs/job/dataset-001.zip", 8),
        (2, "jobs/job/dataset-002.zip", 8),
        (3, "jobs/job/dataset-003.zip", 6),
    ]
    for volume in volumes:
        with open_volume(storage, volume) as archive:
            text = archive.read(f"manifest-00{volume.number}.json")
            digests = {
                name: hashlib.sha256(archive.read(name)).hexdigest() for name in archive.namelist()
            }
        assert digests.pop(f"manifest-00{volume.number}.json") == volume.manifest_sha256
        manifest = json.loads(text)
        assert manifest["files"] == digests
        assert (manifest["volume"], manifest["order"]["volume_pairs"]) == (volume.number, 8)
        assert manifest["counts"]["pairs"] == sum(manifest["splits"].values()) == volume.pairs
        assert manifest["seeds"][0] == 2**62 + 8 * (volume.number - 1)


@pytest.mark.parametrize("layout", [None, "drive", "webdataset"])
def test_they_unpack_into_one_folder(storage: Storage, tmp_path: Path, layout: str | None) -> None:
    count, asked = (
        (COUNT, ASKED) if layout != "webdataset" else (600, ASKED | {"volume_pairs": 512})
    )
    volumes = make_volumes(storage, "job", count, 3, **asked, layout=layout)
    unpacked = unpack(storage, volumes, tmp_path / "unpacked")
    listed: dict[str, str] = {}
    for volume in volumes:
        manifest = json.loads((unpacked / f"manifest-00{volume.number}.json").read_text())
        assert listed.keys() & manifest["files"].keys() == ({"README.md"} if listed else set())
        listed |= manifest["files"]
    files = {p.relative_to(unpacked).as_posix() for p in unpacked.rglob("*") if p.is_file()}
    assert files == listed.keys() | {f"manifest-00{v.number}.json" for v in volumes}
    readme = (unpacked / "README.md").read_text()
    assert f"| Pairs | {count} |" in readme and "Unpack all volumes into one folder" in readme
    if layout_of(asked | {"layout": layout}).tar is None:
        indices = []
        for path in unpacked.rglob("metadata*.jsonl"):
            for line in map(json.loads, path.read_text().splitlines()):
                assert (path.parent / line["label_file_name"]).read_bytes() == png(line["index"], 1)
                indices.append(line["index"])
        assert sorted(indices) == list(range(count))


@pytest.mark.parametrize("by", ["imagefolder", "card"])
def test_load_dataset(
    storage: Storage, tmp_path: Path, by: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    volumes = make_volumes(storage, "job", COUNT, 3, **ASKED)
    loaded = load(unpack(storage, volumes, tmp_path / "all"), by, monkeypatch)
    for split, name in (("train", "train"), ("val", "validation")):
        expected = [index for index in range(COUNT) if split_of(index, ASKED) == split]
        assert sorted(loaded[name]["index"]) == expected
        for row in loaded[name]:
            assert row["image"].tobytes() != b"" and row["label"].mode == row["mask"].mode == "L"
    alone = load(unpack(storage, volumes[1:2], tmp_path / "second"), by, monkeypatch)
    assert sum(rows.num_rows for rows in alone.values()) == 8


@pytest.mark.parametrize("shard_pairs", [1, 5, 8, 100])
def test_same_bytes_with_any_shard_size(storage: Storage, shard_pairs: int) -> None:
    expected = make_volumes(storage, "one", COUNT, 3, **ASKED)
    found = make_volumes(storage, "other", COUNT, shard_pairs, **ASKED)
    assert [storage.read(v.key) for v in found] == [storage.read(v.key) for v in expected]


def test_pictures_of_packed_and_unpacked_volumes(storage: Storage) -> None:
    asked = order(COUNT, **ASKED)
    plan = Plan.of(asked, 3)
    shards = write_shards(storage, "job", COUNT, 3, **ASKED)
    volume = pack(storage, "job", range(shards), 3, asked, PACKAGE, DIGEST, volume=2)
    discard_segments(storage, "job", plan.shards_of_volume(2))
    for index in range(COUNT):
        key = volume.key if plan.find(index)[0] == 2 else None
        assert read_pair(storage, "job", plan, index, "mask", key) == png(index, 2)


def test_part_of_an_order(storage: Storage) -> None:
    asked = order(COUNT, **ASKED)
    plan = Plan.of(asked, 3)
    write_shards(storage, "job", COUNT, 3, **ASKED)
    finished = [0, 4, 5]  # pairs 0 to 2, and 11 to 15
    volumes = [
        pack(storage, "job", finished, 3, asked, PACKAGE, DIGEST, volume=volume)
        for volume in (1, 2)
    ]
    assert [volume.pairs for volume in volumes] == [3, 5]
    for volume in volumes:
        with open_volume(storage, volume) as archive:
            assert archive.testzip() is None
            readme = archive.read("README.md").decode()
        assert f"| Pairs | 8 of {COUNT} ordered; it was cancelled |" in readme
    assert read_pair(storage, "job", plan, 12, "label", volumes[1].key) == png(12, 1)
    with pytest.raises(PairNotReady):
        read_pair(storage, "job", plan, 8, "label", volumes[1].key)


@pytest.mark.parametrize("parts", ["production"], indirect=True)
def test_packing_reads_no_picture(storage: S3Storage) -> None:
    picture = bytes(1 << 20)
    shards = write_shards(storage, "job", 9, 3, lambda index, place: picture, volume_pairs=6)
    calls = Calls(storage)
    asked = order(9, volume_pairs=6)
    pack(storage, "job", range(shards), 3, asked, PACKAGE, DIGEST, volume=1)
    assert calls["UploadPartCopy"] == 2
    assert calls["GetObject"] == 2 + 1  # the indexes, and the directory, which is small
