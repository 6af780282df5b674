"""One picture of an order, by a range read: from its segment at first, later from the archive."""

from app.archive.layout import NOT_PACKED, ImageRole, index_key, offsets_key, segment_key
from app.archive.plan import Plan
from app.archive.segment import read_index
from app.storage import Storage, StorageKeyError


class PairNotReady(Exception):
    """The shard that holds the pair has not been written yet."""


def read_pair(
    storage: Storage,
    job_id: str,
    plan: Plan,
    index: int,
    role: ImageRole,
    archive_key: str | None,
) -> bytes:
    """The file of one image of pair ``index``, which must be one that the order asks for.

    ``plan`` is the job's; ``archive_key`` is that of the pair's volume, None until it is packed.
    Raises PairNotReady.
    """
    volume, ordinal = plan.find(index)
    place = plan.pairs_of_shard(ordinal).index(index)
    try:
        _, records, _ = read_index(storage.read(index_key(job_id, ordinal)))
        entry = list(records)[place].entries[role]
        if archive_key is None:
            return storage.read(segment_key(job_id, ordinal), entry.data_offset, entry.size)
        shard = ordinal - plan.shards_of_volume(volume).start
        stored = storage.read(offsets_key(job_id, plan.number_of(volume)), 8 * shard, 8)
        segment_offset = int.from_bytes(stored, "little") if stored else NOT_PACKED
        if segment_offset == NOT_PACKED:
            raise PairNotReady(f"pair {index} is not in the part that was packed")
        return storage.read(archive_key, segment_offset + entry.data_offset, entry.size)
    except StorageKeyError as error:
        raise PairNotReady(f"pair {index} is not there yet") from error
