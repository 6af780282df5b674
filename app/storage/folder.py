"""Storage in a folder."""

import os
import secrets
import shutil
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from datetime import datetime
from pathlib import Path
from typing import BinaryIO

from app.storage.keys import CHUNK, check_prefix, names_of, nothing_stored

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

    def read(self, key: str, start: int = 0, length: int | None = None) -> bytes:
        with self._open(key) as file:
            file.seek(start)
            return file.read(-1 if length is None else length)

    def stream(
        self, key: str, start: int = 0, length: int | None = None, chunk: int = CHUNK
    ) -> Iterator[bytes]:
        left = self.size(key) - start if length is None else length
        with self._open(key) as file:
            file.seek(start)
            while left > 0 and (piece := file.read(min(chunk, left))):
                left -= len(piece)
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

    def link(self, key: str, filename: str, media_type: str) -> str | None:
        return None

    def _path(self, key: str) -> Path:
        return self.root.joinpath(*names_of(key))

    def _folder(self, prefix: str) -> Path:
        return self._path(check_prefix(prefix).removesuffix("/"))

    def _open(self, key: str) -> BinaryIO:
        try:
            return self._path(key).open("rb")
        except (FileNotFoundError, IsADirectoryError, NotADirectoryError):
            raise nothing_stored(key) from None


def _sync_folder(folder: Path) -> None:
    """Make a rename in the folder outlive a power cut."""
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
