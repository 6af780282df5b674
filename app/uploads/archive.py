"""Reading a zip that anyone may have made: by range reads, never to paths, within limits.

(Pitfalls: the zipfile documentation on decompression, and the OWASP cheat sheet on file upload.)
"""

import io
import re
import stat
import zipfile
from collections.abc import Iterator
from contextlib import suppress
from pathlib import PurePosixPath
from typing import IO, Any

from app.storage import Storage
from app.uploads.faults import FileFault, UploadFault

MOST_FILES = 10_000
LARGEST_FILE = 256 << 20  # bytes, uncompressed
LARGEST_TOTAL = 16 << 30
LARGEST_RATIO = 200  # of a total, or a file, of more than RATIO_FROM bytes
RATIO_FROM = 64 << 20  # a mask of 8 megapixels may well shrink to a thousandth
LARGEST_DIRECTORY = 8 << 20
CHUNK = 1 << 20

ENCRYPTED = 0x1 | 0x40 | 0x2000  # bits of the flags: the data, strongly, the directory too
UTF8 = 0x800  # bit of the flags: the name is UTF-8
METHODS = (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED)
DRIVE = re.compile(r"[A-Za-z]:")
CONTROL = re.compile(r"[\x00-\x1f\x7f]")
ARCHIVES = (".zip", ".tar", ".gz", ".tgz", ".bz2", ".xz", ".7z", ".rar", ".zst")


class StoredFile(io.RawIOBase):
    """A stored object as a file that can be read anywhere.

    ``failure`` is what the storage has raised: zipfile would take it for a fault of the zip.
    """

    def __init__(self, storage: Storage, key: str) -> None:
        self._storage, self._key = storage, key
        self.size, self._place = storage.size(key), 0
        self.failure: Exception | None = None

    def readable(self) -> bool:
        return True

    def seekable(self) -> bool:
        return True

    def tell(self) -> int:
        return self._place

    def seek(self, offset: int, whence: int = io.SEEK_SET) -> int:
        place = offset + {io.SEEK_SET: 0, io.SEEK_CUR: self._place, io.SEEK_END: self.size}[whence]
        if place < 0:
            raise OSError("a place before the start of the file")
        self._place = place
        return place

    def readinto(self, buffer: Any) -> int:
        length = min(len(buffer), self.size - self._place)
        if length <= 0:
            return 0
        try:
            data = self._storage.read(self._key, self._place, length)
        except Exception as error:
            self.failure = error
            raise
        buffer[: len(data)] = data
        self._place += len(data)
        return len(data)


class _Buffered(io.BufferedReader):
    """A buffer that refuses reads so large that only a forged directory asks for them."""

    def read(self, size: int | None = -1, /) -> bytes:
        if size is not None and size > LARGEST_DIRECTORY:
            raise UploadFault(
                "directory_too_large",
                f"The zip's directory has {size} bytes, more than {MOST_FILES} files need.",
            )
        return super().read(size)

    def close(self) -> None:
        """Nothing: the file is closed by those who have opened it."""


class UploadedZip:
    """The files of an uploaded zip, a seekable file.

    ``largest_file`` and ``largest_total`` are limits in bytes, uncompressed.

    Raises:
        UploadFault: it is no zip, or one that is not to be trusted.
    """

    def __init__(
        self,
        file: IO[bytes] | StoredFile,
        largest_file: int = LARGEST_FILE,
        largest_total: int = LARGEST_TOTAL,
    ) -> None:
        self._file = file
        self._largest_total = largest_total
        self._packed_size = file.seek(0, io.SEEK_END)
        try:
            self._zip = zipfile.ZipFile(_Buffered(file, CHUNK))  # type: ignore[arg-type]
        except (UploadFault, MemoryError):
            raise
        except Exception as error:  # of any class: the bytes may be anything
            self._refuse_failure(error)
            file.seek(0)
            raise _not_a_zip(file.read(4) or b"", error) from error
        entries = self._zip.infolist()
        if len(entries) > MOST_FILES:
            raise UploadFault(
                "too_many_files", f"The zip has {len(entries)} files; up to {MOST_FILES} are read."
            )
        self._entries: dict[str, zipfile.ZipInfo] = {}
        for entry in entries:
            _check_entry(entry, largest_file)
            name = str(PurePosixPath(_name_of(entry)))  # ./a.png is a.png
            if name in self._entries:
                raise UploadFault("duplicate_name", f"{name} is in the zip twice.")
            self._entries[name] = entry
        self._folders = {
            name for name, entry in self._entries.items() if _name_of(entry).endswith("/")
        }
        self._check_sizes()

    @property
    def files(self) -> list[str]:
        """The names of all files, not of folders, in the order of the zip."""
        return [name for name in self._entries if name not in self._folders]

    def size(self, name: str) -> int:
        """The file's bytes, uncompressed, as the zip has it."""
        return self._entries[name].file_size

    def read(self, name: str) -> bytes:
        """The file's bytes.

        Raises:
            FileFault: it is damaged, or packed in a way that is not read.
        """
        return b"".join(self.pieces(name))

    def pieces(self, name: str) -> Iterator[bytes]:
        """As ``read``, in pieces of at most ``CHUNK`` bytes."""
        entry = self._entries[name]
        if entry.compress_type not in METHODS:
            # LZMA may ask for gigabytes to unpack a few bytes.
            raise FileFault("compression", "packed in a way that is not read; use deflate or store")
        try:
            with self._zip.open(entry) as file:
                while piece := file.read(CHUNK):
                    yield piece
        except MemoryError:
            raise
        except Exception as error:  # as above
            self._refuse_failure(error)
            raise FileFault("damaged", f"damaged within the zip: {error}") from error

    def _refuse_failure(self, error: Exception) -> None:
        """Raises what the storage has raised, if that is behind the error."""
        if isinstance(self._file, StoredFile) and self._file.failure:
            raise self._file.failure from error

    def _check_sizes(self) -> None:
        packed = sum(entry.compress_size for entry in self._entries.values())
        unpacked = sum(entry.file_size for entry in self._entries.values())
        if packed > self._packed_size:
            raise UploadFault("zip_bomb", "Files of the zip share their bytes: no honest zip's do.")
        if unpacked > self._largest_total:
            raise UploadFault(
                "too_large_unpacked",
                f"The zip has {unpacked} bytes unpacked; it may have {self._largest_total}.",
            )
        _check_ratio("The zip", unpacked, packed)


def _not_a_zip(start: bytes, error: Exception) -> UploadFault:
    if start.startswith(b"PK"):
        return UploadFault(
            "zip_truncated", f"The zip is cut off or damaged: it cannot be read ({error})."
        )
    return UploadFault("not_a_zip", "What was uploaded is not a zip.")


def _name_of(entry: zipfile.ZipInfo) -> str:
    """The name with ``/`` between folders; some programs write backslashes, and UTF-8 without saying so."""
    name = entry.orig_filename
    if not entry.flag_bits & UTF8 and not name.isascii():
        with suppress(UnicodeError):
            name = name.encode("cp437").decode("utf-8")
    return name.replace("\\", "/")


def _check_entry(entry: zipfile.ZipInfo, largest: int) -> None:
    name = _name_of(entry)
    parts = name.removesuffix("/").split("/")
    if name.startswith("/") or DRIVE.match(name):
        raise UploadFault("unsafe_name", f"{name!r} is an absolute name; use relative ones.")
    if ".." in parts:
        raise UploadFault("unsafe_name", f"{name!r} leads out of the zip.")
    if CONTROL.search(name) or not name.strip("/"):
        raise UploadFault("unsafe_name", f"{name!r} is not a file's name.")
    kind = stat.S_IFMT(entry.external_attr >> 16)
    if kind == stat.S_IFLNK:
        raise UploadFault("symbolic_link", f"{name} is a symbolic link; pack the file itself.")
    if kind not in (0, stat.S_IFREG, stat.S_IFDIR):
        raise UploadFault("special_file", f"{name} is neither a file nor a folder.")
    if entry.flag_bits & ENCRYPTED:
        raise UploadFault("encrypted", f"{name} is encrypted; pack it without a password.")
    if entry.file_size > largest:
        raise UploadFault(
            "file_too_large",
            f"{name} has {entry.file_size} bytes unpacked; a file may have {largest}.",
        )
    _check_ratio(name, entry.file_size, entry.compress_size)


def _check_ratio(what: str, unpacked: int, packed: int) -> None:
    if unpacked > max(RATIO_FROM, LARGEST_RATIO * packed):
        raise UploadFault(
            "zip_bomb", f"{what} grows from {packed} to {unpacked} bytes: no honest zip does."
        )
