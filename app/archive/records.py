"""The records of a zip file with stored (uncompressed) entries, as bytes.

Names follow the ZIP application note (APPNOTE 6.3). Every entry bears the earliest time a zip can
hold, 1980-01-01 00:00, so that equal contents give equal archives. A size, offset or count that its
32 or 16 bit field cannot hold moves to the Zip64 record, and only then.
"""

import struct

STORED = 0
UTF8_NAME = 0x800
DOS_DATE_1980_01_01 = 0x21
MADE_BY_UNIX = 3 << 8
REGULAR_FILE_0644 = 0o100644 << 16

VERSION_STORED = 20
VERSION_ZIP64 = 45

LIMIT_16 = 0xFFFF
LIMIT_32 = 0xFFFFFFFF

LOCAL_HEADER = struct.Struct("<4s5H3L2H")
CENTRAL_RECORD = struct.Struct("<4s6H3L5H2L")
ZIP64_END = struct.Struct("<4sQ2H2L4Q")
ZIP64_LOCATOR = struct.Struct("<4sLQL")
END = struct.Struct("<4s4H2LH")


def local_header(name: str, crc32: int, size: int) -> bytes:
    """The header that stands before an entry's data; ``size`` in bytes."""
    encoded = name.encode()
    extra = b""
    version, size_field = VERSION_STORED, size
    if size >= LIMIT_32:
        extra = _zip64_extra(size, size)
        version, size_field = VERSION_ZIP64, LIMIT_32
    header = LOCAL_HEADER.pack(
        b"PK\3\4",
        version,
        UTF8_NAME,
        STORED,
        0,
        DOS_DATE_1980_01_01,
        crc32,
        size_field,
        size_field,
        len(encoded),
        len(extra),
    )
    return header + encoded + extra


def central_record(name: str, crc32: int, size: int, offset: int) -> bytes:
    """The directory's record of an entry; its local header is ``offset`` bytes into the archive."""
    encoded = name.encode()
    moved: list[int] = []
    size_field, offset_field = size, offset
    if size >= LIMIT_32:
        moved += [size, size]
        size_field = LIMIT_32
    if offset >= LIMIT_32:
        moved.append(offset)
        offset_field = LIMIT_32
    extra = _zip64_extra(*moved) if moved else b""
    version = VERSION_ZIP64 if moved else VERSION_STORED
    record = CENTRAL_RECORD.pack(
        b"PK\1\2",
        MADE_BY_UNIX | version,
        version,
        UTF8_NAME,
        STORED,
        0,
        DOS_DATE_1980_01_01,
        crc32,
        size_field,
        size_field,
        len(encoded),
        len(extra),
        0,  # comment
        0,  # disk
        0,  # internal attributes
        REGULAR_FILE_0644,
        offset_field,
    )
    return record + encoded + extra


def end_records(count: int, directory_offset: int, directory_size: int) -> bytes:
    """What closes the archive: the end record, with the Zip64 pair before it where it is needed."""
    end = END.pack(
        b"PK\5\6",
        0,
        0,
        min(count, LIMIT_16),
        min(count, LIMIT_16),
        min(directory_size, LIMIT_32),
        min(directory_offset, LIMIT_32),
        0,
    )
    if count < LIMIT_16 and directory_offset < LIMIT_32 and directory_size < LIMIT_32:
        return end
    zip64_end = ZIP64_END.pack(
        b"PK\6\6",
        ZIP64_END.size - 12,  # the record's size does not count the signature nor this field
        MADE_BY_UNIX | VERSION_ZIP64,
        VERSION_ZIP64,
        0,
        0,
        count,
        count,
        directory_size,
        directory_offset,
    )
    locator = ZIP64_LOCATOR.pack(b"PK\6\7", 0, directory_offset + directory_size, 1)
    return zip64_end + locator + end


def _zip64_extra(*values: int) -> bytes:
    return struct.pack(f"<2H{len(values)}Q", 1, 8 * len(values), *values)
