"""Large orders: as much memory as small ones, and no picture read for the packing."""

import subprocess
import sys
from pathlib import Path

import pytest

from app.archive.pack import pack
from app.storage.s3 import S3Storage
from tests.app.test_storage import Calls
from tests.archive.orders import DIGEST, PACKAGE, order, write_shards


def peak_memory(count: int, folder: Path) -> int:
    """Of a process that orders, makes and packs so many tiny pairs, in KiB (Linux) or bytes."""
    folder.mkdir()
    run = subprocess.run(
        [sys.executable, "-m", "tests.archive.peak", str(count), str(folder)],
        capture_output=True,
        text=True,
        timeout=600,
        cwd=Path(__file__).parents[2],
    )
    assert run.returncode == 0, run.stderr
    return int(run.stdout)


def test_a_hundred_thousand_pairs_take_as_much_memory_as_a_thousand(tmp_path: Path) -> None:
    small = peak_memory(1_000, tmp_path / "small")
    assert peak_memory(100_000, tmp_path / "large") < 1.2 * small


@pytest.mark.parametrize("parts", ["production"], indirect=True)
def test_packing_reads_no_picture(storage: S3Storage) -> None:
    shards = write_shards(storage, "job", 9, 3, picture=lambda index, place: bytes(1 << 20))
    calls = Calls(storage)
    pack(storage, "job", range(shards), 3, order(9), PACKAGE, DIGEST)
    assert calls["UploadPartCopy"] == shards
    assert calls["GetObject"] == shards + 1  # the indexes, and the directory, which is small
