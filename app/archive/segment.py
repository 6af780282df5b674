"""A segment: a run of zip entries exactly as they will stand in the archive, and its index.

The index is JSON lines: first the environment that made the shard, then a line a pair, then a line
for each tar, where the layout has such. It holds all that packing needs, so that packing reads no
picture.
"""

import hashlib
import json
import shutil
import zlib
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from typing import IO, Any

from app.archive.layout import OPTIONAL_ROLES, REQUIRED_ROLES, ImageRole
from app.archive.records import local_header

CHUNK = 1 << 20
SPILL_BYTES = 1 << 19  # up to which what is gathered stays in memory


TAR_LINE = b'{"tar":'


@dataclass(frozen=True)
class Entry:
    """One stored file. ``offset`` (bytes) is that of its local header within the segment."""

    name: str
    crc32: int
    size: int
    offset: int
    header_bytes: int
    sha256: str

    @property
    def data_offset(self) -> int:
        return self.offset + self.header_bytes

    @property
    def end(self) -> int:
        return self.data_offset + self.size


@dataclass(frozen=True)
class PairRecord:
    """What the index says of one pair; ``vessel_share`` (0 to 1) is that of its field of view.

    Of an order with limits, ``quality`` has the limited measures, and ``rejected`` the number of
    candidates turned away before this one, by measure.
    Of an order of given maps, ``map`` is the name of its map.
    ``disc`` and ``lesions`` are there if the order asks for these masks.
    Where the layout has tars, the pictures' entries are their members, placed within the segment.
    """

    index: int
    seed: int
    vessel_share: float
    image: Entry
    label: Entry
    mask: Entry
    quality: dict[str, float] | None = None
    rejected: dict[str, int] | None = None
    map: str | None = None
    disc: Entry | None = None
    lesions: Entry | None = None

    @property
    def entries(self) -> dict[ImageRole, Entry]:
        """Those of the pair's images, in the order in which they stand in the archive."""
        found = ((role, getattr(self, role)) for role in (*REQUIRED_ROLES, *OPTIONAL_ROLES))
        return {role: entry for role, entry in found if entry is not None}


class SegmentWriter:
    """Appends entries to a binary file that need not be seekable."""

    def __init__(self, file: IO[bytes]) -> None:
        self._file = file
        self.size = 0

    def add(self, name: str, data: bytes) -> Entry:
        entry = self._begin(name, zlib.crc32(data), len(data), hashlib.sha256(data).hexdigest())
        self._file.write(data)
        return entry

    def add_file(self, name: str, source: IO[bytes]) -> Entry:
        """Adds a seekable file of any length; reads it twice, since the header comes first."""
        crc32, size, digest = 0, 0, hashlib.sha256()
        source.seek(0)
        while chunk := source.read(CHUNK):
            crc32, size = zlib.crc32(chunk, crc32), size + len(chunk)
            digest.update(chunk)
        entry = self._begin(name, crc32, size, digest.hexdigest())
        source.seek(0)
        shutil.copyfileobj(source, self._file, CHUNK)
        return entry

    def _begin(self, name: str, crc32: int, size: int, sha256: str) -> Entry:
        header = local_header(name, crc32, size)
        self._file.write(header)
        entry = Entry(name, crc32, size, self.size, len(header), sha256)
        self.size = entry.end
        return entry


def dump_index(
    environment: dict[str, Any], records: Sequence[PairRecord], tars: Sequence[Entry] = ()
) -> bytes:
    lines = [environment, *map(_given, records), *({"tar": asdict(tar)} for tar in tars)]
    return b"".join(json.dumps(line, separators=(",", ":")).encode() + b"\n" for line in lines)


def _given(record: PairRecord) -> dict[str, Any]:
    return {name: value for name, value in asdict(record).items() if value is not None}


def read_index(data: bytes) -> tuple[dict[str, Any], Iterator[PairRecord], list[Entry]]:
    """The environment, the pairs in order, and the tars of an index."""
    environment, *lines = data.splitlines()
    tars = [Entry(**json.loads(line)["tar"]) for line in lines if line.startswith(TAR_LINE)]
    pairs = (_read_record(line) for line in lines if not line.startswith(TAR_LINE))
    return json.loads(environment), pairs, tars


def _read_record(line: bytes) -> PairRecord:
    fields = json.loads(line)
    for role in fields.keys() & {*REQUIRED_ROLES, *OPTIONAL_ROLES}:
        fields[role] = Entry(**fields[role])
    return PairRecord(**fields)
