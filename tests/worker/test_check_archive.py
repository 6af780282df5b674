"""Zips that anyone may have made: refused as a whole, or but for a file, and always by name."""

import io
import random
import stat
import struct
import zipfile
from pathlib import Path

import pytest

from app.storage import Storage
from app.uploads.archive import LARGEST_DIRECTORY, MOST_FILES, RATIO_FROM
from app.uploads.pictures import report_key
from tests.worker.checked import Check, embedded
from tests.zips import maps, pack, picture, vessels


def named(name: str, mode: int = 0) -> tuple[zipfile.ZipInfo, bytes]:
    entry = zipfile.ZipInfo(name)
    entry.create_system, entry.external_attr = 3, mode << 16
    return entry, picture(vessels())


def entry_flags(data: bytes, flags: int) -> bytes:
    """The zip with these flags in the headers of its files."""
    changed = bytearray(data)
    for signature, place in ((b"PK\3\4", 6), (b"PK\1\2", 8)):
        start = -1
        while (start := data.find(signature, start + 1)) >= 0:
            struct.pack_into("<H", changed, start + place, flags)
    return bytes(changed)


def sharing(files: int) -> bytes:
    """A zip whose directory names the one file in it again and again."""
    data = pack({"000.png": picture(vessels())})
    directory = data.index(b"PK\1\2")
    end = data.index(b"PK\5\6")
    record = data[directory:end]
    records = b"".join(record.replace(b"000", b"%03d" % n) for n in range(files))
    counts = struct.pack("<4s4H2LH", b"PK\5\6", 0, 0, files, files, len(records), directory, 0)
    return data[:directory] + records + counts


GOOD = maps(1)
WHOLE = pack(maps(3))
REFUSED = {
    "zip slip": (pack([named("../../etc/cron.d/x.png")]), "unsafe_name", "../../etc/cron.d/x.png"),
    "zip slip within": (pack([named("a/../../x.png")]), "unsafe_name", "a/../../x.png"),
    "absolute name": (pack([named("/etc/x.png")]), "unsafe_name", "/etc/x.png"),
    "drive letter": (pack([named("C:/x.png")]), "unsafe_name", "C:/x.png"),
    "backslashes": (pack([named(r"..\x.png")]), "unsafe_name", "x.png"),
    "zero in the name": (
        pack(GOOD | {"a_b.png": b""}).replace(b"a_b", b"a\0b"),
        "unsafe_name",
        "a\\x00b.png",
    ),
    "symbolic link": (pack([named("x.png", stat.S_IFLNK | 0o777)]), "symbolic_link", "x.png"),
    "pipe": (pack([named("x.png", stat.S_IFIFO | 0o644)]), "special_file", "x.png"),
    "encrypted": (entry_flags(pack(GOOD), 1), "encrypted", "0.png"),
    "duplicate name": (pack([named("a.png"), named("./a.png")]), "duplicate_name", "a.png"),
    "bomb by ratio": (pack({"x.png": bytes(RATIO_FROM + 1)}), "zip_bomb", "x.png"),
    "bomb by shared bytes": (sharing(500), "zip_bomb", "share"),
    "bomb by number": (
        pack({f"{n}.png": b"" for n in range(MOST_FILES + 1)}),
        "too_many_files",
        str(MOST_FILES),
    ),
    "bomb by directory": (
        pack({f"{n}{'x' * 60_000}": b"" for n in range(LARGEST_DIRECTORY // 60_000 + 1)}),
        "directory_too_large",
        "directory",
    ),
    "file too large": (
        pack(GOOD).replace(
            struct.pack("<L", len(GOOD["0.png"])) + struct.pack("<2H", 5, 0),
            struct.pack("<L", 300 << 20) + struct.pack("<2H", 5, 0),
        ),
        "file_too_large",
        "0.png",
    ),
    "cut off": (WHOLE[: len(WHOLE) // 2], "zip_truncated", "cut off"),
    "cut off at the end": (WHOLE[:-10], "zip_truncated", "cut off"),
    "no zip": (b"\x1f\x8b tar", "not_a_zip", "not a zip"),
    "nothing sent": (b"", "not_a_zip", "not a zip"),
    "empty zip": (pack({}), "nothing_usable", "There are no maps"),
    "only a zip within": (pack({"all.zip": WHOLE}), "nothing_usable", "all.zip: an archive"),
    "no good picture": (pack({"a.png": b"x"}), "nothing_usable", "a.png: not a picture"),
}


@embedded
@pytest.mark.parametrize("case", REFUSED)
def test_an_upload_is_refused_as_a_whole(
    check: Check, storage: Storage, tmp_path: Path, case: str
) -> None:
    data, code, words = REFUSED[case]
    found = check("maps", data)
    assert (found.job.status, found.job.error["code"]) == ("failed", code)
    assert words in found.job.error["detail"]
    assert found.job.count == 0
    assert storage.list() == [report_key(found.job.id)]
    assert not list(tmp_path.rglob("x.png"))


def broken_crc(name: str) -> bytes:
    """Three maps, the bytes of one of them damaged within the zip."""
    data = bytearray(pack(maps(3)))
    with zipfile.ZipFile(io.BytesIO(data)) as archive:
        entry = archive.getinfo(name)
    data[entry.header_offset + 30 + len(name) + entry.compress_size // 2] ^= 0xFF
    return bytes(data)


def by_lzma(name: str) -> bytes:
    file = io.BytesIO(pack(GOOD))
    with zipfile.ZipFile(file, "a") as archive:
        archive.writestr(name, picture(vessels(1)), zipfile.ZIP_LZMA)
    return file.getvalue()


@embedded
@pytest.mark.parametrize(
    ("data", "file", "code"),
    [(broken_crc("1.png"), "1.png", "damaged"), (by_lzma("1.png"), "1.png", "compression")],
)
def test_a_file_that_cannot_be_unpacked_is_named(
    check: Check, data: bytes, file: str, code: str
) -> None:
    found = check("maps", data)
    assert found.refused == [(file, code)]
    assert found.job.count == len(zipfile.ZipFile(io.BytesIO(data)).namelist()) - 1


def damaged(data: bytes, chance: random.Random) -> bytes:
    """The bytes with a few changed, taken out or put in."""
    changed = bytearray(data)
    for _ in range(chance.choice((1, 2, 8))):
        place = chance.randrange(len(changed))
        with_what = chance.choice((b"\0", b"\xff", chance.randbytes(1), chance.randbytes(4), b""))
        changed[place : place + chance.choice((0, 1, 4))] = with_what
    return bytes(changed)


@embedded
@pytest.mark.parametrize("seed", range(2))
def test_whatever_comes_a_check_ends_with_a_report(check: Check, seed: int) -> None:
    chance = random.Random(seed)
    formats = {"a.png": "PNG", "b.tif": "TIFF", "c.gif": "GIF", "d.ppm": "PPM", "e.jpg": "JPEG"}
    good = {name: picture(vessels(n), end) for n, (name, end) in enumerate(formats.items())}
    for _ in range(20):
        inside = pack({name: damaged(data, chance) for name, data in good.items()})
        for data in (inside, damaged(pack(good), chance)):
            found = check("maps", data)
            told = len(found.report.used) + len(found.report.refused)
            if found.job.status == "succeeded":
                assert found.job.count == len(found.report.used) > 0
                assert told <= len(good)
            else:
                assert found.job.error["code"] not in ("internal_error", "out_of_memory")
