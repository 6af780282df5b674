"""Zip records at the limits of their 16 and 32 bit fields, read back by zipfile."""

import io
import zipfile
import zlib

import pytest

from app.archive.records import central_record, end_records, local_header

FOUR_GIB = 1 << 32


class Sparse(io.RawIOBase):
    """A file of zeros with some bytes at its end, so that offsets beyond 4 GiB cost nothing."""

    def __init__(self, zeros: int, end: bytes) -> None:
        self._zeros, self._end, self._place = zeros, end, 0

    def readable(self) -> bool:
        return True

    def seekable(self) -> bool:
        return True

    def seek(self, offset: int, whence: int = io.SEEK_SET) -> int:
        length = self._zeros + len(self._end)
        bases = {io.SEEK_SET: 0, io.SEEK_CUR: self._place, io.SEEK_END: length}
        self._place = offset + bases[whence]
        return self._place

    def tell(self) -> int:
        return self._place

    def read(self, size: int = -1) -> bytes:
        stop = self._zeros + len(self._end) if size < 0 else self._place + size
        zeros = bytes(max(0, min(stop, self._zeros) - self._place))
        start = max(0, self._place - self._zeros)
        data = zeros + self._end[start : max(0, stop - self._zeros)]
        self._place += len(data)
        return data


@pytest.mark.parametrize("offset", [FOUR_GIB - 2, FOUR_GIB - 1, FOUR_GIB, 5 * FOUR_GIB + 7])
def test_entry_far_into_the_archive(offset: int) -> None:
    data = b"far away"
    entry = local_header("far.txt", zlib.crc32(data), len(data)) + data
    directory = central_record("far.txt", zlib.crc32(data), len(data), offset)
    end = end_records(1, offset + len(entry), len(directory))
    with zipfile.ZipFile(Sparse(offset, entry + directory + end)) as archive:
        assert archive.getinfo("far.txt").header_offset == offset
        assert archive.read("far.txt") == data


@pytest.mark.parametrize("size", [FOUR_GIB - 2, FOUR_GIB - 1, FOUR_GIB, 3 * FOUR_GIB])
def test_entry_of_many_bytes(size: int) -> None:
    directory = central_record("big.bin", 1, size, 0)
    header = local_header("big.bin", 1, size)
    end = end_records(1, len(header) + size, len(directory))
    with zipfile.ZipFile(Sparse(len(header) + size, directory + end)) as archive:
        info = archive.getinfo("big.bin")
    assert (info.file_size, info.compress_size) == (size, size)
    # The sizes before the data must agree: as 32 bit fields, or in the Zip64 extra field.
    in_fields = header[18:26] == size.to_bytes(4, "little") * 2 if size < FOUR_GIB else False
    in_extra = header.endswith(size.to_bytes(8, "little") * 2) and header[18:26] == b"\xff" * 8
    assert in_extra if size >= FOUR_GIB - 1 else in_fields


@pytest.mark.parametrize(("count", "zip64"), [(65_534, False), (65_535, True), (65_536, True)])
def test_many_entries(count: int, zip64: bool) -> None:
    body = local_header("same", 0, 0)
    directory = b"".join(central_record(f"{number}", 0, 0, 0) for number in range(count))
    end = end_records(count, len(body), len(directory))
    with zipfile.ZipFile(io.BytesIO(body + directory + end)) as archive:
        assert len(archive.namelist()) == count
    assert (b"PK\6\6" in end) is zip64


def test_small_archives_have_no_zip64_records() -> None:
    assert len(end_records(3, 1000, 200)) == 22
    assert local_header("name", 0, 0)[4:6] == (20).to_bytes(2, "little")


def test_names_are_utf8() -> None:
    directory = central_record("Ä/ö.txt", 0, 0, 0)
    body = local_header("Ä/ö.txt", 0, 0)
    data = body + directory + end_records(1, len(body), len(directory))
    with zipfile.ZipFile(io.BytesIO(data)) as archive:
        assert archive.namelist() == ["Ä/ö.txt"]
        assert archive.infolist()[0].date_time == (1980, 1, 1, 0, 0, 0)
