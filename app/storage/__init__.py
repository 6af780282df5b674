"""Where every byte a user gets is kept: objects with keys, in a folder or in an S3 bucket."""

from collections.abc import Iterator, Sequence
from contextlib import AbstractContextManager
from datetime import datetime
from pathlib import Path
from typing import BinaryIO, Protocol
from urllib.parse import unquote, urlsplit

from app.settings import Settings
from app.storage.errors import StorageKeyError, StorageUnavailableError
from app.storage.folder import FolderStorage
from app.storage.keys import CHUNK, LINK_SECONDS, MOST_PARTS

__all__ = [
    "CHUNK",
    "LINK_SECONDS",
    "MOST_PARTS",
    "Storage",
    "StorageKeyError",
    "StorageUnavailableError",
    "job_prefix",
    "open_storage",
]


class Storage(Protocol):
    """Objects are written whole and never changed; a key is a relative path with ``/``."""

    smallest_piece: int
    """Bytes from which on ``concatenate`` joins an object without reading it."""

    def write(self, key: str) -> AbstractContextManager[BinaryIO]:
        """A file to write the object into; it appears, whole, when the block ends well."""

    def read(self, key: str, start: int = 0, length: int | None = None) -> bytes:
        """Bytes from ``start``; fewer than ``length`` only where the object ends."""

    def stream(self, key: str, chunk: int = CHUNK) -> Iterator[bytes]:
        """The whole object in pieces of at most ``chunk`` bytes."""

    def size(self, key: str) -> int:
        """Length of the object in bytes."""

    def concatenate(self, key: str, pieces: Sequence[str | bytes]) -> None:
        """Make one object of stored objects (by key) and literal bytes, one after another."""

    def delete(self, key: str) -> None:
        """Remove the object; it need not be there."""

    def delete_prefix(self, prefix: str) -> None:
        """Remove all objects whose key begins with ``prefix``, which ends in ``/``."""

    def discard_unfinished(self, before: datetime) -> int:
        """Remove what is left of writes that began before then and never ended; how many they were."""

    def list(self, prefix: str = "") -> list[str]:
        """The keys that begin with ``prefix``, which is empty or ends in ``/``, sorted."""

    def path(self, key: str) -> Path | None:
        """The object's file; None where objects are not files of this machine."""

    def link(self, key: str, filename: str, media_type: str) -> str | None:
        """An address under which anyone can get the object for a while, as a file of that name.

        None where the storage has no server of its own: then the API sends the bytes.
        """

    def begin_parts(self, key: str) -> str:
        """Begin an object whose parts, numbered from 1, come in any order; a name for its upload.

        All parts but the last must have 5 MiB or more. The other calls with such a name raise
        StorageKeyError once the object is whole or its prefix was deleted.
        """

    def write_part(self, key: str, upload: str, number: int) -> AbstractContextManager[BinaryIO]:
        """A file to write the part into; it counts, whole, when the block ends well."""

    def part_link(self, key: str, upload: str, number: int, size: int) -> str | None:
        """An address under which anyone can PUT the part, of ``size`` bytes, for ``LINK_SECONDS``.

        None where the storage has no server of its own: then the API takes the bytes.
        """

    def parts(
        self, key: str, upload: str, after: int = 0, most: int = MOST_PARTS
    ) -> dict[int, int]:
        """Length in bytes of each part that has come: of the first ``most`` behind ``after``."""

    def join_parts(self, key: str, upload: str) -> None:
        """Make the object of the parts that have come, in the order of their numbers."""


def open_storage(settings: Settings) -> Storage:
    """The storage that the settings name."""
    address = urlsplit(settings.resolved_storage_url)
    if address.scheme == "s3":
        # Only those who use S3 need boto3, and only their processes wait for its import.
        from app.storage.s3 import S3Storage

        return S3Storage(
            bucket=address.netloc,
            prefix=unquote(address.path).strip("/"),
            endpoint_url=settings.s3_endpoint_url,
            public_endpoint_url=settings.s3_public_endpoint_url,
        )
    return FolderStorage(Path(unquote(address.path)))


def job_prefix(job_id: str) -> str:
    """What all keys of a job begin with."""
    return f"jobs/{job_id}/"
