"""What is in the zips that come: checked against its digests, and unpacked."""

import hashlib
import json
import re
import zipfile
import zlib
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

from app.client.errors import DamagedError

MANIFEST = re.compile(r"manifest(-\d{3,})?\.json")
PIECE = 1 << 20  # bytes


def check_archive(path: Path, manifest_sha256: str, size: int) -> None:
    """Check a data set's zip: its length, its manifest, and all files by the manifest.

    Raises:
        DamagedError: names what is wrong.
    """
    if path.stat().st_size != size:
        raise DamagedError(path, [f"{path.stat().st_size} bytes instead of {size}"])
    with _opened(path) as archive:
        name = next((name for name in archive.namelist() if MANIFEST.fullmatch(name)), None)
        if name is None or _digest(archive, name) != manifest_sha256:
            raise DamagedError(path, [name or "manifest.json"])
        _check_files(path, archive, json.loads(archive.read(name))["files"], {name})


def check_package(path: Path, digest: str) -> None:
    """Check a model package's zip against the model's digest, that of its package.json.

    Raises:
        DamagedError: names what is wrong.
    """
    with _opened(path) as archive:
        if _digest(archive, "package.json") != digest:
            raise DamagedError(path, ["package.json"])
        files = json.loads(archive.read("package.json"))["files"]
        digests = {name: entry["sha256"] for name, entry in files.items()}
        _check_files(path, archive, digests, {"package.json"})


@contextmanager
def _opened(path: Path) -> Iterator[zipfile.ZipFile]:
    try:
        archive = zipfile.ZipFile(path)
    except (zipfile.BadZipFile, NotImplementedError) as error:
        raise DamagedError(path, ["no zip that can be read"]) from error
    with archive:
        yield archive


def _check_files(
    path: Path, archive: zipfile.ZipFile, digests: Mapping[str, str], known: set[str]
) -> None:
    present = set(archive.namelist())
    wrong = [name for name in digests if name not in present]
    wrong += sorted(present - digests.keys() - known)
    wrong += [
        name
        for name, digest in digests.items()
        if name in present and _digest(archive, name) != digest
    ]
    if wrong:
        raise DamagedError(path, wrong)


def _digest(archive: zipfile.ZipFile, name: str) -> str | None:
    """SHA-256 of the file; None if it cannot be read."""
    digest = hashlib.sha256()
    try:
        with archive.open(name) as file:
            while piece := file.read(PIECE):
                digest.update(piece)
    except (KeyError, OSError, RuntimeError, zipfile.BadZipFile, zlib.error):
        return None  # RuntimeError: its damaged header says that it is encrypted, or packed oddly
    return digest.hexdigest()


def unpack(path: Path, folder: Path) -> None:
    """Unpack a zip that was checked into the folder, beside what is there."""
    folder.mkdir(parents=True, exist_ok=True)
    with zipfile.ZipFile(path) as archive:
        archive.extractall(folder)
