"""The pictures of an upload as the check has left them: 8 bit PNGs of one kind each.

They lie one after another in one object, the segment. The index has a JSON line a record, and the
offsets say where each line begins, so that one record or picture is found by a few range reads.
"""

import hashlib
import json
import struct
from dataclasses import asdict, dataclass
from typing import IO, Literal

from app.archive.segment import Entry, SegmentWriter
from app.storage import Storage, StorageKeyError, job_prefix

Which = Literal["image", "label", "mask"]
OFFSET = struct.Struct("<Q")


@dataclass(frozen=True)
class UploadRecord:
    """One map, pair or photograph: what is known of it and where its pictures lie."""

    number: int  # 0, 1, ... in the order of the names
    file: str  # name in the uploaded zip: of the map, or of the pair's photograph
    width: int  # pixels, the same for all its pictures
    height: int
    vessel_share: float  # of the field of view, 0 to 1; of the whole picture where there is none
    label: Entry | None  # 0 or 255; none of a photograph alone
    image: Entry | None = None  # RGB; none in an upload of maps
    mask: Entry | None = None  # field of view, 0 or 255


class NoSuchPicture(LookupError):
    """The upload has no such record, or the record has no such picture."""


class PictureWriter:
    """Appends records to the file of a segment; :meth:`finish` stores what finds them again."""

    def __init__(self, segment: IO[bytes]) -> None:
        self._segment = SegmentWriter(segment)
        self._lines: list[bytes] = []

    def __len__(self) -> int:
        return len(self._lines)

    def add(
        self,
        file: str,
        size: tuple[int, int],
        vessel_share: float,
        *,
        label: bytes | None,
        image: bytes | None = None,
        mask: bytes | None = None,
    ) -> UploadRecord:
        """Adds the PNGs of one map or pair; ``size`` is width and height. Returns its record."""
        number = len(self)

        def place(which: Which, png: bytes | None) -> Entry | None:
            return None if png is None else self._segment.add(f"{which}s/{number:06d}.png", png)

        record = UploadRecord(
            number,
            file,
            *size,
            vessel_share,
            image=place("image", image),
            label=place("label", label),
            mask=place("mask", mask),
        )
        self._lines.append(json.dumps(asdict(record), separators=(",", ":")).encode() + b"\n")
        return record

    def finish(self, storage: Storage, upload_id: str) -> str:
        """Stores index and offsets; returns the SHA-256 of the index, which stands for the whole."""
        index, offset = b"".join(self._lines), 0
        with storage.write(_index_key(upload_id)) as file:
            file.write(index)
        with storage.write(_offsets_key(upload_id)) as file:
            for line in [*self._lines, b""]:
                file.write(OFFSET.pack(offset))
                offset += len(line)
        return hashlib.sha256(index).hexdigest()


def read_record(storage: Storage, upload_id: str, number: int) -> UploadRecord:
    """The record ``number`` (from 0) of an upload that was checked and found good.

    Raises:
        NoSuchPicture: there is none.
    """
    try:
        place = storage.read(_offsets_key(upload_id), OFFSET.size * number, 2 * OFFSET.size)
        if len(place) < 2 * OFFSET.size:
            raise NoSuchPicture(f"{upload_id} has no picture {number}")
        (start,), (stop,) = OFFSET.iter_unpack(place)
        fields = json.loads(storage.read(_index_key(upload_id), start, stop - start))
    except StorageKeyError as error:
        raise NoSuchPicture(f"{upload_id} has no pictures") from error
    for which in ("image", "label", "mask"):
        fields[which] = fields[which] and Entry(**fields[which])
    return UploadRecord(**fields)


def read_picture(storage: Storage, upload_id: str, number: int, which: Which) -> bytes:
    """The PNG of one picture: ``image`` (RGB), ``label`` or ``mask`` (0 or 255), each 8 bit.

    Raises:
        NoSuchPicture: there is none.
    """
    entry: Entry | None = getattr(read_record(storage, upload_id, number), which)
    if entry is None:
        raise NoSuchPicture(f"picture {number} of {upload_id} has no {which}")
    return read_entry(storage, upload_id, entry)


def read_entry(storage: Storage, upload_id: str, entry: Entry) -> bytes:
    """The PNG of a record's entry."""
    return storage.read(segment_key(upload_id), entry.data_offset, entry.size)


def zip_key(upload_id: str) -> str:
    """The zip as it was uploaded, there until it has been checked."""
    return f"{job_prefix(upload_id)}upload.zip"


def report_key(upload_id: str) -> str:
    return f"{job_prefix(upload_id)}report.json"


def segment_key(upload_id: str) -> str:
    return f"{job_prefix(upload_id)}pictures.segment"


def _index_key(upload_id: str) -> str:
    return f"{job_prefix(upload_id)}pictures.index"


def _offsets_key(upload_id: str) -> str:
    return f"{job_prefix(upload_id)}pictures.offsets"
