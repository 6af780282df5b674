"""Storage in a folder."""

import fnmatch
import os
import secrets
import shutil
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from datetime import datetime
from pathlib import Path
from typing import BinaryIO

from app.storage.keys import CHUNK, MOST_PARTS, check_prefix, names_of, nothing_sent, nothing_stored

PART = ".part"  # ends the name of an unfinished object, which begins with a dot


class FolderStorage:
    """Storage in a folder of this machine (or one that all machines share)."""

    smallest_piece = 0

    def __init__(self, root: Path) -> None:
        self.root = root
        root.mkdir(parents=True, exist_ok=True)

    @contextmanager
    def write(self, key: str) -> Iterator[BinaryIO]:
        path = self._path(key)
        path.parent.mkdir(parents=True, exist_ok=True)
        with _whole(path) as file:
            yield file

    def read(self, key: str, start: int = 0, length: int | None = None) -> bytes:
        with self._open(key) as file:
            file.seek(start)
            return file.read(-1 if length is None else length)

    def stream(self, key: str, chunk: int = CHUNK) -> Iterator[bytes]:
        with self._open(key) as file:
            while piece := file.read(chunk):
                yield piece

    def size(self, key: str) -> int:
        with self._open(key) as file:
            return os.fstat(file.fileno()).st_size

    def concatenate(self, key: str, pieces: Sequence[str | bytes]) -> None:
        with self.write(key) as target:
            for piece in pieces:
                if isinstance(piece, bytes):
                    target.write(piece)
                    continue
                with self._open(piece) as source:
                    shutil.copyfileobj(source, target, CHUNK)

    def delete(self, key: str) -> None:
        self._path(key).unlink(missing_ok=True)

    def delete_prefix(self, prefix: str) -> None:
        folder = self._folder(prefix)
        if folder.exists():
            shutil.rmtree(folder)

    def discard_unfinished(self, before: datetime) -> int:
        count = 0
        for part in self.root.rglob(f".*{PART}"):
            with suppress(FileNotFoundError):
                if part.stat().st_mtime < before.timestamp():
                    part.unlink()
                    count += 1
        return count

    def list(self, prefix: str = "") -> list[str]:
        files = (self._folder(prefix) if prefix else self.root).rglob("*")
        return sorted(
            file.relative_to(self.root).as_posix()
            for file in files
            if file.is_file() and not file.name.startswith(".")
        )

    def path(self, key: str) -> Path | None:
        path = self._path(key)
        if not path.is_file():
            raise nothing_stored(key)
        return path

    def link(self, key: str, filename: str, media_type: str) -> str | None:
        return None

    def begin_parts(self, key: str) -> str:
        upload = secrets.token_hex(8)
        self._parts_folder(key, upload).mkdir(parents=True)
        return upload

    @contextmanager
    def write_part(self, key: str, upload: str, number: int) -> Iterator[BinaryIO]:
        path = self._parts_folder(key, upload) / f".{number:05d}{PART}"
        try:
            with _whole(path) as file:
                yield file
        except FileNotFoundError:
            raise nothing_sent(key) from None

    def part_link(self, key: str, upload: str, number: int, size: int) -> str | None:
        return None

    def parts(
        self, key: str, upload: str, after: int = 0, most: int = MOST_PARTS
    ) -> dict[int, int]:
        found = self._part_files(key, upload)
        numbers = sorted(number for number in found if number > after)[:most]
        try:
            return {number: found[number].stat().st_size for number in numbers}
        except FileNotFoundError:
            raise nothing_sent(key) from None

    def join_parts(self, key: str, upload: str) -> None:
        found = self._part_files(key, upload)
        if self._path(key).exists():
            # Joined by another, who may have removed some of the parts before they were listed.
            raise nothing_sent(key)
        try:
            with self.write(key) as target:
                for number in sorted(found):
                    with found[number].open("rb") as source:
                        shutil.copyfileobj(source, target, CHUNK)
        except FileNotFoundError:
            raise nothing_sent(key) from None
        shutil.rmtree(self._parts_folder(key, upload), ignore_errors=True)

    def _part_files(self, key: str, upload: str) -> dict[int, Path]:
        folder = self._parts_folder(key, upload)
        try:
            # Listed at once: another who has joined them may remove the folder at any time.
            names = fnmatch.filter(os.listdir(folder), f".?????{PART}")
        except FileNotFoundError:
            raise nothing_sent(key) from None
        return {int(name[1:6]): folder / name for name in names}

    def _parts_folder(self, key: str, upload: str) -> Path:
        return self._path(key).parent / f".{upload}.parts"

    def _path(self, key: str) -> Path:
        return self.root.joinpath(*names_of(key))

    def _folder(self, prefix: str) -> Path:
        return self._path(check_prefix(prefix).removesuffix("/"))

    def _open(self, key: str) -> BinaryIO:
        try:
            return self._path(key).open("rb")
        except (FileNotFoundError, IsADirectoryError, NotADirectoryError):
            raise nothing_stored(key) from None


@contextmanager
def _whole(path: Path) -> Iterator[BinaryIO]:
    """A file to write into, which is at its path only once the block ends well."""
    # Beside its place, so that deleting the prefix also ends a write that nobody waits for.
    part = path.parent / f".{secrets.token_hex(8)}{PART}"
    try:
        with part.open("xb") as file:
            yield file
            file.flush()
            os.fsync(file.fileno())
        part.replace(path)
        _sync_folder(path.parent)
    finally:
        part.unlink(missing_ok=True)


def _sync_folder(folder: Path) -> None:
    """Make a rename in the folder outlive a power cut."""
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
