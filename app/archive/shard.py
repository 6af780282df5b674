"""A shard being written: its segment, pair after pair as the order's layout has them, and its index."""

from collections.abc import Mapping
from dataclasses import replace
from typing import IO, Any

from app.archive.contents import metadata_line
from app.archive.layout import TAR_PAIRS, layout_of, pair_names, stem_of, tar_name
from app.archive.segment import Entry, PairRecord, SegmentWriter, dump_index
from app.archive.tar import TarWriter


class ShardWriter:
    """Takes the pairs of a shard in order. A context manager, for the files that it spools to.

    In a layout with tars the shard must begin where a tar does (see Plan).
    """

    def __init__(self, file: IO[bytes], order: Mapping[str, Any]) -> None:
        self._order = order
        self._segment = SegmentWriter(file)
        self._in_tars = layout_of(order).tar is not None
        self.records: list[PairRecord] = []  # of the pairs that are in the segment
        self._tars: list[Entry] = []
        self._open: dict[str, TarWriter] = {}  # by name
        self._held: list[tuple[str, PairRecord]] = []  # in the open tars, not yet in the segment

    def __enter__(self) -> "ShardWriter":
        return self

    def __exit__(self, kind: object, error: object, traceback: object) -> None:
        for tar in self._open.values():
            tar.close()

    @property
    def size(self) -> int:
        """Bytes of the segment so far."""
        return self._segment.size

    def add(self, index: int, *images: bytes, **facts: Any) -> None:
        """Adds pair ``index``: the files of its images, in the order of ``image_roles``. ``facts`` are the
        other fields of its PairRecord."""
        name = tar_name(index, self._order) if self._in_tars else None
        if name is not None and name not in self._open:
            self._open[name] = TarWriter()
        add = self._segment.add if name is None else self._open[name].add
        files = zip(pair_names(index, self._order).items(), images, strict=True)
        entries: dict[str, Any] = {role: add(file, data) for (role, file), data in files}
        record = PairRecord(index=index, **entries, **facts)
        if name is None:
            self.records.append(record)
            return
        add(f"{stem_of(index, self._order)}.json", metadata_line(record))
        self._held.append((name, record))
        if (index + 1) % TAR_PAIRS == 0:
            self._end_tars()

    def finish(self, environment: dict[str, Any]) -> bytes:
        """Ends the segment, and returns its index."""
        self._end_tars()
        return dump_index(environment, self.records, self._tars)

    def _end_tars(self) -> None:
        """Moves the open tars into the segment: only now is known where their pictures lie."""
        starts = {}
        for name, tar in self._open.items():
            entry = self._segment.add_file(name, tar.finish())
            tar.close()
            starts[name] = entry.data_offset
            self._tars.append(entry)
        for name, record in self._held:
            moved: dict[str, Any] = {
                role: replace(entry, offset=starts[name] + entry.offset)
                for role, entry in record.entries.items()
            }
            self.records.append(replace(record, **moved))
        self._open.clear()
        self._held.clear()
