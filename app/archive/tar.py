"""Tar files as the webdataset library reads them, made in files that spill from memory to disk.

Headers are plain ustar; owner and time are fixed, so that equal contents give equal tars.
"""

import hashlib
import tarfile
import zlib
from tempfile import SpooledTemporaryFile
from typing import IO

from app.archive.segment import SPILL_BYTES, Entry

END = bytes(2 * tarfile.BLOCKSIZE)


class TarWriter:
    """One tar file, member after member."""

    def __init__(self) -> None:
        self.file: IO[bytes] = SpooledTemporaryFile(SPILL_BYTES)  # noqa: SIM115  closed by close()

    def add(self, name: str, data: bytes) -> Entry:
        """Appends a member; the entry's offset is that of its header within the tar."""
        member = tarfile.TarInfo(name)  # of user 0, group 0, time 0, mode 0644
        member.size = len(data)
        header = member.tobuf(tarfile.USTAR_FORMAT, "ascii", "strict")
        offset = self.file.tell()
        self.file.write(header + data + bytes(-len(data) % tarfile.BLOCKSIZE))
        sha256 = hashlib.sha256(data).hexdigest()
        return Entry(name, zlib.crc32(data), len(data), offset, len(header), sha256)

    def finish(self) -> IO[bytes]:
        """Writes the end; the tar as a file."""
        self.file.write(END)
        return self.file

    def close(self) -> None:
        self.file.close()
