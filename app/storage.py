"""Where every byte a user gets is kept: objects with keys, as in an object store."""

import os
import secrets
import shutil
from collections.abc import Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path
from typing import BinaryIO, Protocol
from urllib.parse import unquote, urlsplit

from app.settings import Settings

CHUNK = 1 << 20  # bytes


class StorageKeyError(LookupError):
    """There is no object with this key, or no object can have it."""


class Storage(Protocol):
    """Objects are written whole and never changed; a key is a relative path with ``/``."""

    def write(self, key: str) -> AbstractContextManager[BinaryIO]:
        """A file to write the object into; it appears, whole, when the block ends well."""

    def read(self, key: str, start: int = 0, length: int | None = None) -> bytes:
        """Bytes from ``start``; fewer than ``length`` only where the object ends."""

    def stream(
        self, key: str, start: int = 0, length: int | None = None, chunk: int = CHUNK
    ) -> Iterator[bytes]:
        """As ``read``, in pieces of at most ``chunk`` bytes."""

    def size(self, key: str) -> int:
        """Length of the object in bytes."""

    def concatenate(self, key: str, pieces: Sequence[str | bytes]) -> None:
        """Make one object of stored objects (by key) and literal bytes, one after another."""

    def delete(self, key: str) -> None:
        """Remove the object; it need not be there."""

    def delete_prefix(self, prefix: str) -> None:
        """Remove all objects whose key begins with ``prefix``, which ends in ``/``."""

    def list(self, prefix: str = "") -> list[str]:
        """The keys that begin with ``prefix``, which is empty or ends in ``/``, sorted."""


class FolderStorage:
    """Storage in a folder of this machine (or one that all machines share)."""

    def __init__(self, root: Path) -> None:
        self.root = root
        root.mkdir(parents=True, exist_ok=True)

    @contextmanager
    def write(self, key: str) -> Iterator[BinaryIO]:
        path = self._path(key)
        path.parent.mkdir(parents=True, exist_ok=True)
        # Beside its place, so that deleting the prefix also ends a write that nobody waits for.
        part = path.parent / f".{secrets.token_hex(8)}.part"
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

    def list(self, prefix: str = "") -> list[str]:
        files = (self._folder(prefix) if prefix else self.root).rglob("*")
        return sorted(
            file.relative_to(self.root).as_posix()
            for file in files
            if file.is_file() and not file.name.startswith(".")
        )

    def _path(self, key: str) -> Path:
        parts = key.split("/")
        # A leading dot is refused too: it marks the parts of unfinished objects.
        if any(not part or part.startswith(".") or set(part) & {"\\", "\0"} for part in parts):
            raise StorageKeyError(f"{key!r} is not a key: use names joined by '/'")
        return self.root.joinpath(*parts)

    def _folder(self, prefix: str) -> Path:
        if not prefix.endswith("/"):
            raise ValueError(f"the prefix {prefix!r} must end in '/'")
        return self._path(prefix.removesuffix("/"))

    def _open(self, key: str) -> BinaryIO:
        try:
            return self._path(key).open("rb")
        except (FileNotFoundError, IsADirectoryError, NotADirectoryError):
            raise StorageKeyError(f"nothing is stored as {key!r}") from None


def open_storage(settings: Settings) -> Storage:
    """The storage that the settings name."""
    return FolderStorage(Path(unquote(urlsplit(settings.resolved_storage_url).path)))


def job_prefix(job_id: str) -> str:
    """What all keys of a job begin with."""
    return f"jobs/{job_id}/"


def _sync_folder(folder: Path) -> None:
    """Make a rename in the folder outlive a power cut."""
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
