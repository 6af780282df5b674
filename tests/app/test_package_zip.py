"""Package zips that anyone may have made: unpacked whole, or refused with the file and the field."""

import io
import json
import random
import stat
import zipfile
from pathlib import Path
from typing import Any

import pytest

from app.registry.manifest import PackageFault
from app.registry.package_zip import LARGEST_OTHER, unpack, write_zip
from app.uploads.archive import RATIO_FROM
from tests.app.packages import FILES, WEIGHTS, package_zip, safetensors, whole_manifest
from tests.zips import pack

CARD_ONLY = {"CARD.md": FILES["CARD.md"]}
LINK = zipfile.ZipInfo("CARD.md")
LINK.create_system, LINK.external_attr = 3, (stat.S_IFLNK | 0o777) << 16


def zip_of(manifest: Any, files: dict[str, bytes] | None = None) -> bytes:
    data = manifest if isinstance(manifest, bytes) else json.dumps(manifest).encode()
    return pack({"package.json": data, **(FILES if files is None else files)})


def with_vessel(data: bytes) -> bytes:
    return package_zip(FILES | {"vessel.safetensors": data})


def damaged(data: bytes, name: bytes) -> bytes:
    """The zip with one byte of this file changed."""
    changed = bytearray(data)
    changed[data.index(name) + len(name) + 8] ^= 0xFF
    return bytes(changed)


def tensor(dtype: str = "F32", shape: Any = (2,), offsets: Any = (0, 8), size: int = 8) -> bytes:
    return with_vessel(
        safetensors({"w": {"dtype": dtype, "shape": shape, "data_offsets": offsets}}, bytes(size))
    )


def test_a_package_comes_out_as_it_was(tmp_path: Path) -> None:
    file = io.BytesIO(package_zip())
    manifest, read = unpack(file, tmp_path)
    assert not file.closed
    assert (manifest.name, manifest.version) == ("eye", "1.0.0")
    assert {path.name: path.read_bytes() for path in tmp_path.iterdir()} == {
        "package.json": read,
        **FILES,
    }


def test_a_packed_package_is_stored_the_same_bytes_each_time_and_unpacks(tmp_path: Path) -> None:
    first, second = tmp_path / "first", tmp_path / "second"
    zips = []
    for folder, data in ((first, package_zip()), (second, b"")):
        folder.mkdir()
        unpack(io.BytesIO(data or zips[0]), folder)
        file = io.BytesIO()
        assert write_zip(folder, file) == len(file.getvalue())
        zips.append(file.getvalue())
    assert zips[0] == zips[1]
    with zipfile.ZipFile(io.BytesIO(zips[0])) as archive:
        assert archive.testzip() is None
        assert archive.namelist() == sorted([*FILES, "package.json"])
        assert {entry.compress_type for entry in archive.infolist()} == {zipfile.ZIP_STORED}


REFUSED = {
    "nothing": (b"", "not_a_zip", "", ""),
    "cut off": (package_zip()[:-30], "zip_truncated", "", ""),
    "zip slip": (package_zip(FILES | {"../x.md": b""}), "unsafe_name", "", ""),
    "link": (pack([(LINK, b"/etc/passwd")]), "symbolic_link", "", ""),
    "bomb": (package_zip(FILES | {"x.md": bytes(RATIO_FROM + 1)}), "zip_bomb", "", ""),
    "no manifest": (pack(FILES), "missing_file", "package.json", ""),
    "manifest in a folder": (
        pack({"eye/package.json": b"{}"}),
        "missing_file",
        "package.json",
        "eye/",
    ),
    "no JSON": (zip_of(b"{"), "not_json", "package.json", ""),
    "no name": (zip_of(whole_manifest(name="A B")), "wrong_field", "package.json", "name"),
    "no networks": (
        zip_of(whole_manifest(networks={"vessel": {"config": {}}})),
        "wrong_field",
        "package.json",
        "networks.translator",
    ),
    "no weights": (package_zip(CARD_ONLY), "wrong_field", "package.json", "vessel.safetensors"),
    "a name with a folder": (
        package_zip(FILES | {"a/b.md": b""}),
        "wrong_field",
        "package.json",
        "files.a/b.md",
    ),
    "a pickle": (
        package_zip(FILES | {"vessel.pt": b"\x80\x04."}),
        "wrong_field",
        "package.json",
        "vessel.pt",
    ),
    "lists itself": (
        zip_of(whole_manifest(FILES | {"package.json": b""})),
        "wrong_field",
        "package.json",
        "files",
    ),
    "lacks a file": (zip_of(whole_manifest(), CARD_ONLY), "missing_file", "vessel.safetensors", ""),
    "has one more": (zip_of(whole_manifest(), FILES | {"x.md": b""}), "unlisted_file", "x.md", ""),
    "another length": (
        zip_of(whole_manifest(), FILES | {"CARD.md": b"# E"}),
        "wrong_size",
        "CARD.md",
        "3 bytes",
    ),
    "another content": (
        zip_of(whole_manifest(), FILES | {"CARD.md": FILES["CARD.md"].upper()}),
        "wrong_digest",
        "CARD.md",
        "SHA-256",
    ),
    "damaged within": (damaged(package_zip(), b"CARD.md"), "damaged", "CARD.md", ""),
    "a long card": (
        package_zip(FILES | {"CARD.md": bytes(LARGEST_OTHER + 1)}),
        "file_too_large",
        "CARD.md",
        str(LARGEST_OTHER),
    ),
}
BAD_WEIGHTS = {
    "empty": with_vessel(b""),
    "a pickle": with_vessel(b"\x80\x04\x95" + bytes(100)),
    "header beyond the file": with_vessel(b"\xff" * 8 + b"{}"),
    "header cut off": with_vessel(WEIGHTS[:40]),
    "header no JSON": with_vessel(safetensors(b"{not", b"")),
    "header no object": with_vessel(safetensors([1], b"")),
    "header nested": with_vessel(safetensors(b"[" * 100_000, b"")),
    "no tensors": with_vessel(safetensors({}, b"")),
    "tensor no object": with_vessel(safetensors({"w": 1}, b"")),
    "unknown dtype": tensor(dtype="PICKLE"),
    "negative side": tensor(shape=(-2,)),
    "side no number": tensor(shape=("2",)),
    "shape too large": tensor(shape=(2**31 - 1,) * 8),
    "offsets out of order": tensor(offsets=(8, 0)),
    "offsets too short": tensor(offsets=(0, 4)),
    "a hole": tensor(offsets=(4, 12), size=12),
    "bytes left over": tensor(size=9),
    "bytes missing": tensor(size=7),
    "two at one place": with_vessel(
        safetensors(
            {
                name: {"dtype": "U8", "shape": [4], "data_offsets": [0, 4]}
                for name in ("one", "two")
            },
            bytes(4),
        )
    ),
}


@pytest.mark.parametrize("case", REFUSED)
def test_what_is_wrong_is_named(tmp_path: Path, case: str) -> None:
    data, code, file, words = REFUSED[case]
    folder = tmp_path / "folder"
    folder.mkdir()
    with pytest.raises(PackageFault) as caught:
        unpack(io.BytesIO(data), folder)
    assert (caught.value.code, caught.value.file) == (code, file), caught.value
    assert words in str(caught.value)
    assert [path for path in tmp_path.iterdir() if path != folder] == []


@pytest.mark.parametrize("case", BAD_WEIGHTS)
def test_weights_are_sound_safetensors(tmp_path: Path, case: str) -> None:
    with pytest.raises(PackageFault) as caught:
        unpack(io.BytesIO(BAD_WEIGHTS[case]), tmp_path)
    assert (caught.value.code, caught.value.file) == ("not_safetensors", "vessel.safetensors")


def test_faults_are_short_however_long_names_are(tmp_path: Path) -> None:
    header = {"w" * 1_000_000: {"dtype": "U8", "shape": [1], "data_offsets": [0, 9]}}
    for data in (
        with_vessel(safetensors(header, bytes(9))),
        zip_of(whole_manifest({"x" * 500_000: b""})),
    ):
        with pytest.raises(PackageFault) as caught:
            unpack(io.BytesIO(data), tmp_path)
        assert len(str(caught.value)) < 1000


@pytest.mark.parametrize("seed", range(2))
def test_whatever_comes_is_refused_or_whole(tmp_path: Path, seed: int) -> None:
    chance = random.Random(seed)
    good = package_zip()
    for number in range(150):
        data = bytearray(good)
        for _ in range(chance.choice((1, 2, 8))):
            place = chance.randrange(len(data))
            data[place : place + chance.choice((0, 1, 4))] = chance.randbytes(
                chance.choice((0, 1, 4))
            )
        folder = tmp_path / str(number)
        folder.mkdir()
        try:
            unpack(io.BytesIO(data), folder)
        except PackageFault:
            continue
        assert {name: (folder / name).read_bytes() for name in FILES} == FILES
