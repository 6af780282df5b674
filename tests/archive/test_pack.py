"""Packing: what comes out is a sound zip, the same whatever the shards were."""

import hashlib
import io
import json
import shutil
import subprocess
import zipfile
from pathlib import Path

import pytest

from app.archive.layout import archive_key, index_key, segment_key, tail_key
from app.archive.pack import ArchiveError, discard_segments, pack
from app.archive.pairs import PairNotReady, read_pair
from app.archive.plan import Plan
from app.storage import Storage, StorageKeyError
from tests.archive.orders import (
    DIGEST,
    ENVIRONMENT,
    PACKAGE,
    make_archive,
    order,
    png,
    write_shards,
)

PLAN = Plan.of(order(7), 2)


def fetch(storage: Storage, key: str, folder: Path) -> Path:
    """The stored object as a file."""
    with (folder / "fetched").open("wb") as file:
        file.writelines(storage.stream(key))
    return folder / "fetched"


def test_names_in_order(storage: Storage) -> None:
    make_archive(storage, "job", count=3, shard_pairs=2)
    with zipfile.ZipFile(io.BytesIO(storage.read(archive_key("job")))) as archive:
        assert archive.testzip() is None
        assert archive.namelist() == [
            *(
                f"train/{folder}/{index:06d}.png"
                for index in range(3)
                for folder in ("images", "labels", "masks")
            ),
            "README.md",
            "train/metadata.jsonl",
            "manifest.json",
        ]
        assert archive.read("train/labels/000002.png") == png(2, 1)


def test_unzip_finds_nothing_wrong(storage: Storage, tmp_path: Path) -> None:
    unzip = shutil.which("unzip")
    if unzip is None:
        pytest.skip("unzip is not installed")
    archive = make_archive(storage, "job", count=5, shard_pairs=2)
    test = subprocess.run(
        [unzip, "-t", fetch(storage, archive.key, tmp_path)], capture_output=True, text=True
    )
    assert test.returncode == 0, test.stdout + test.stderr
    assert "No errors detected" in test.stdout


@pytest.mark.parametrize("shard_pairs", [1, 2, 3, 7, 100])
def test_same_bytes_with_any_shard_size(storage: Storage, shard_pairs: int) -> None:
    expected = make_archive(storage, "one", count=7, shard_pairs=4)
    archive = make_archive(storage, "other", count=7, shard_pairs=shard_pairs)
    assert (archive.bytes, archive.manifest_sha256) == (expected.bytes, expected.manifest_sha256)
    assert storage.read(archive.key) == storage.read(expected.key)


def test_size_and_digest_are_true(storage: Storage) -> None:
    archive = make_archive(storage, "job", count=3, shard_pairs=2)
    data = storage.read(archive.key)
    assert archive.bytes == len(data)
    with zipfile.ZipFile(io.BytesIO(data)) as opened:
        manifest = opened.read("manifest.json")
    assert archive.manifest_sha256 == hashlib.sha256(manifest).hexdigest()


def test_manifest(storage: Storage) -> None:
    make_archive(storage, "job", count=5, shard_pairs=2)
    with zipfile.ZipFile(io.BytesIO(storage.read(archive_key("job")))) as archive:
        manifest = json.loads(archive.read("manifest.json"))
        digests = {
            name: hashlib.sha256(archive.read(name)).hexdigest()
            for name in archive.namelist()
            if name != "manifest.json"
        }
    assert manifest["order"] == order(5)
    assert manifest["package"]["digest"] == DIGEST
    assert manifest["environments"] == [ENVIRONMENT]
    assert manifest["counts"] == {"pairs": 5, "images": 5, "labels": 5, "masks": 5}
    assert manifest["seeds"] == [2**62 + index for index in range(5)]
    assert manifest["files"] == digests


def test_metadata(storage: Storage) -> None:
    make_archive(storage, "job", count=4, shard_pairs=3)
    with zipfile.ZipFile(io.BytesIO(storage.read(archive_key("job")))) as archive:
        lines = archive.read("train/metadata.jsonl").splitlines()
    assert len(lines) == 4
    assert json.loads(lines[3]) == {
        "file_name": "images/000003.png",
        "label_file_name": "labels/000003.png",
        "mask_file_name": "masks/000003.png",
        "index": 3,
        "seed": 2**62 + 3,
        "vessel_share": 0.75,
    }


def test_zip64_archive(storage: Storage, tmp_path: Path) -> None:
    count = 21_845  # three files each and three more: 65,538 entries
    archive = make_archive(storage, "job", count, 4_000, picture=lambda index, place: b"%d" % index)
    with zipfile.ZipFile(fetch(storage, archive.key, tmp_path)) as opened:
        assert len(opened.namelist()) == 3 * count + 3
        assert opened.read(f"train/masks/{count - 1:06d}.png") == b"%d" % (count - 1)
        assert len(json.loads(opened.read("manifest.json"))["files"]) == 3 * count + 2


def test_progress_reaches_the_count(storage: Storage) -> None:
    shards = write_shards(storage, "job", 5, 2)
    seen: list[int] = []
    pack(storage, "job", range(shards), 2, order(5), PACKAGE, DIGEST, seen.append)
    assert seen == sorted(seen)
    assert seen[-1] == 5


def test_packing_again_gives_the_same(storage: Storage) -> None:
    first = make_archive(storage, "job", count=5, shard_pairs=2)
    again = pack(storage, "job", range(3), 2, order(5), PACKAGE, DIGEST)
    assert again == first


def test_only_indexes_and_archive_stay(storage: Storage) -> None:
    make_archive(storage, "job", count=3, shard_pairs=2)
    assert tail_key("job") not in storage.list()
    discard_segments(storage, "job", range(2))
    assert storage.list() == [
        "jobs/job/dataset.offsets",
        "jobs/job/dataset.zip",
        index_key("job", 0),
        index_key("job", 1),
    ]


def test_missing_shard(storage: Storage) -> None:
    write_shards(storage, "job", 4, 2)
    storage.delete(index_key("job", 1))
    with pytest.raises(StorageKeyError, match=r"000001\.index"):
        pack(storage, "job", range(2), 2, order(4), PACKAGE, DIGEST)


def test_cut_segment_is_named(storage: Storage) -> None:
    write_shards(storage, "job", 4, 2)
    data = storage.read(segment_key("job", 1))
    with storage.write(segment_key("job", 1)) as file:
        file.write(data[:-1])
    with pytest.raises(ArchiveError, match=r"000001\.segment has"):
        pack(storage, "job", range(2), 2, order(4), PACKAGE, DIGEST)


def test_shard_of_another_plan(storage: Storage) -> None:
    write_shards(storage, "job", 4, 2)
    with pytest.raises(ArchiveError, match="shard 0 has pair None in the place of pair 2"):
        pack(storage, "job", range(1), 3, order(4), PACKAGE, DIGEST)
    with pytest.raises(ArchiveError, match="shard 0 has pair 1 in the place of pair None"):
        pack(storage, "job", range(1), 1, order(4), PACKAGE, DIGEST)
    index = storage.read(index_key("job", 0))
    with storage.write(index_key("job", 1)) as file:
        file.write(index)
    with pytest.raises(ArchiveError, match="shard 1 has pair 0 in the place of pair 2"):
        pack(storage, "job", range(2), 2, order(4), PACKAGE, DIGEST)


def test_part_of_an_order(storage: Storage) -> None:
    write_shards(storage, "job", 7, 2)
    archive = pack(storage, "job", [1, 3], 2, order(7), PACKAGE, DIGEST)
    with zipfile.ZipFile(io.BytesIO(storage.read(archive.key))) as opened:
        assert opened.testzip() is None
        names = [name for name in opened.namelist() if name.startswith("train/images/")]
        manifest = json.loads(opened.read("manifest.json"))
        assert "| Pairs | 3 of 7 ordered; it was cancelled |" in opened.read("README.md").decode()
    assert names == [f"train/images/{index:06d}.png" for index in (2, 3, 6)]
    assert manifest["counts"]["pairs"] == manifest["splits"]["train"] == 3
    assert manifest["order"]["count"] == 7
    for index in (2, 3, 6):
        assert read_pair(storage, "job", PLAN, index, "label", archive.key) == png(index, 1)
    for index in (0, 1, 4, 5):
        with pytest.raises(PairNotReady):
            read_pair(storage, "job", PLAN, index, "label", archive.key)
