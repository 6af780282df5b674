"""Packing: segments placed one after another, then the archive's own files and its directory.

No picture is read for it; the indexes say all there is to know, and the manifest has the SHA-256 of
every file, so that its own stands for the archive. What grows with the order
(metadata, manifest, directory) is gathered in files that spill from memory to disk.
"""

import shutil
from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from itertools import chain, zip_longest
from tempfile import SpooledTemporaryFile
from typing import IO, Any

from app.archive.constraints import limits_of
from app.archive.contents import card, folder_of, manifest_file, manifest_head, metadata_line
from app.archive.layout import (
    README,
    archive_key,
    index_key,
    layout_of,
    manifest_name,
    metadata_name,
    offsets_key,
    pack_offsets,
    segment_key,
    split_of,
    splits_of,
    tail_key,
)
from app.archive.plan import Plan
from app.archive.records import central_record, end_records
from app.archive.segment import CHUNK, SPILL_BYTES, Entry, PairRecord, SegmentWriter, read_index
from app.storage import Storage, StorageKeyError


class ArchiveError(Exception):
    """The segments in storage do not add up to the order; the message names the shard."""


@dataclass(frozen=True)
class PackedArchive:
    """A volume of a data set, or all of it."""

    number: int  # of the volume, from 1
    key: str
    pairs: int
    bytes: int
    manifest_sha256: str


def pack(
    storage: Storage,
    job_id: str,
    shards: Sequence[int],
    shard_pairs: int,
    order: Mapping[str, Any],
    package: Mapping[str, Any],
    package_digest: str,
    on_progress: Callable[[int], None] = lambda pairs: None,
    volume: int = 1,
) -> PackedArchive:
    """Writes one volume of a job's archive, from those of its ``shards`` that it has.

    ``shards`` are all shards of the job, or those that a cancelled job has finished. ``order`` is
    what the manifest will show, ``package`` the parsed package.json. ``on_progress`` gets the
    number of the volume's pairs done and may raise to stop.
    Segments stay in storage. Raises ArchiveError, or StorageKeyError where a segment or index is missing.
    """
    plan = Plan.of(order, shard_pairs)
    number, in_volume = plan.number_of(volume), plan.shards_of_volume(volume)
    ordinals = [ordinal for ordinal in shards if ordinal in in_volume]
    segments = [segment_key(job_id, ordinal) for ordinal in ordinals]
    with ExitStack() as files:
        tables = _Tables(files, order, number)
        for ordinal, segment in zip(ordinals, segments, strict=True):
            pairs = plan.pairs_of_shard(ordinal)
            data_end = tables.add_index(storage.read(index_key(job_id, ordinal)), ordinal, pairs)
            if (size := storage.size(segment)) != data_end:
                raise ArchiveError(f"{segment} has {size} bytes where its index says {data_end}")
            on_progress(tables.pairs)
        splits, rejected = tables.splits, tables.rejected
        head = manifest_head(
            order, package, package_digest, tables.environments, splits, rejected, number
        )
        count = sum(len(plan.pairs_of_shard(ordinal)) for ordinal in shards)
        there = _splits_with_pairs(order, plan, shards)
        readme = card(order, package, count, there, rejected if number is None else None)
        with storage.write(tail_key(job_id, number)) as tail:
            manifest = tables.write_tail(tail, readme.encode(), head)
    places = [ordinal - in_volume.start for ordinal in ordinals]
    with storage.write(offsets_key(job_id, number)) as file:
        file.write(pack_offsets(dict(zip(places, tables.offsets, strict=True))))
    key = archive_key(job_id, number)
    storage.concatenate(key, [*segments, tail_key(job_id, number)])
    storage.delete(tail_key(job_id, number))
    return PackedArchive(volume, key, tables.pairs, storage.size(key), manifest.sha256)


def lost_shards(storage: Storage, job_id: str, shards: Iterable[int]) -> list[int]:
    """Those of the finished shards whose segment or index is no longer in storage."""

    def is_there(key: str) -> bool:
        try:
            storage.size(key)
        except StorageKeyError:
            return False
        return True

    keys = {shard: (segment_key(job_id, shard), index_key(job_id, shard)) for shard in shards}
    return [shard for shard, each in keys.items() if not all(map(is_there, each))]


def _splits_with_pairs(order: Mapping[str, Any], plan: Plan, shards: Sequence[int]) -> list[str]:
    """The order's splits, those left out that have no pair in these shards."""
    missing = set(splits_of(order))
    for index in chain.from_iterable(map(plan.pairs_of_shard, shards)):
        if not missing:
            break
        missing.discard(split_of(index, order))
    return [split for split in splits_of(order) if split not in missing]


def discard_segments(storage: Storage, job_id: str, shards: Iterable[int]) -> None:
    """Drops what the archive now holds; the indexes stay, single pairs are found by them."""
    for ordinal in shards:
        storage.delete(segment_key(job_id, ordinal))


class _Tables:
    """What accumulates over the indexes: directory, metadata and the manifest's long members."""

    def __init__(self, files: ExitStack, order: Mapping[str, Any], volume: int | None) -> None:
        def open_file() -> IO[bytes]:
            return files.enter_context(SpooledTemporaryFile(SPILL_BYTES))

        self._order, self._volume, self._directory = order, volume, open_file()
        self._in_tars = layout_of(order).tar is not None
        self._metadata = {split: open_file() for split in splits_of(order)}
        self._in_split = dict.fromkeys(self._metadata, 0)
        self._seeds, self._digests, self._manifest = open_file(), open_file(), open_file()
        self.environments: list[dict[str, Any]] = []
        self.offsets: list[int] = []  # of each segment in the archive
        self.rejected = dict.fromkeys(limits_of(order), 0)  # candidates, by measure
        self.pairs = 0
        self._entries = 0
        self._size = 0  # of all segments so far

    @property
    def splits(self) -> dict[str, int]:
        """The splits that have pairs, and how many; a small order may leave one empty."""
        return {split: pairs for split, pairs in self._in_split.items() if pairs}

    def add_index(self, index: bytes, ordinal: int, pairs: range) -> int:
        """Takes the index of a shard of these pairs; returns the bytes its segment must have."""
        environment, records, tars = read_index(index)
        if environment not in self.environments:
            self.environments.append(environment)
        self.offsets.append(self._size)
        segment_bytes = 0
        for due, record in zip_longest(pairs, records):
            found = record.index if record else None
            if record is None or found != due:
                raise ArchiveError(f"shard {ordinal} has pair {found} in the place of pair {due}")
            self._add_pair(record)
            if not self._in_tars:
                entries = list(record.entries.values())
                self._add_files(entries)
                segment_bytes = entries[-1].end
        if tars:
            self._add_files(tars)
            segment_bytes = tars[-1].end
        self._size += segment_bytes
        return segment_bytes

    def _add_pair(self, record: PairRecord) -> None:
        split = split_of(record.index, self._order)
        self._in_split[split] += 1
        if not self._in_tars:
            folder = folder_of(self._metadata_name(split))
            self._metadata[split].write(metadata_line(record, folder))
        self._seeds.write(b"%s\n    %d" % (b"," if self.pairs else b"", record.seed))
        for measure, count in (record.rejected or {}).items():
            self.rejected[measure] += count
        self.pairs += 1

    def _metadata_name(self, split: str) -> str:
        return metadata_name(split, self._order, self._volume)

    def _add_files(self, entries: Sequence[Entry]) -> None:
        for entry in entries:
            self._add_to_directory(entry)
            self._digests.write(b",\n" + manifest_file(entry.name, entry.sha256))

    def _add_to_directory(self, entry: Entry) -> None:
        offset = self._size + entry.offset
        self._directory.write(central_record(entry.name, entry.crc32, entry.size, offset))
        self._entries += 1

    def write_tail(self, file: IO[bytes], readme: bytes, head: bytes) -> Entry:
        """Writes the archive's own files, its directory and its end; returns the manifest's entry."""
        tail = SegmentWriter(file)
        own = [tail.add(README, readme)]
        if not self._in_tars:
            own += [
                tail.add_file(self._metadata_name(split), self._metadata[split])
                for split in self.splits
            ]
        self._write_manifest(head, own)
        manifest = tail.add_file(manifest_name(self._volume), self._manifest)
        for entry in [*own, manifest]:
            self._add_to_directory(entry)
        directory_bytes = self._directory.tell()
        _copy(self._directory, file)
        file.write(end_records(self._entries, self._size + tail.size, directory_bytes))
        return manifest

    def _write_manifest(self, head: bytes, own: list[Entry]) -> None:
        self._manifest.write(head + b',\n  "seeds": [')
        _copy(self._seeds, self._manifest)
        self._manifest.write(b'\n  ],\n  "files": {\n')
        self._manifest.write(b",\n".join(manifest_file(entry.name, entry.sha256) for entry in own))
        _copy(self._digests, self._manifest)
        self._manifest.write(b"\n  }\n}\n")


def _copy(source: IO[bytes], target: IO[bytes]) -> None:
    source.seek(0)
    shutil.copyfileobj(source, target, CHUNK)
