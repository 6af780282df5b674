"""The pictures of a data set's pairs, one by one and as a contact sheet."""

from collections.abc import Iterator

from sqlalchemy import select
from sqlalchemy.orm import Session

from app.access.caller import Caller
from app.access.jobs import refuse_expired
from app.archive.formats import PNG, format_of
from app.archive.layout import ImageRole, image_roles
from app.archive.pairs import PairNotReady, read_pair
from app.datasets.preview import MOST_PAIRS, contact_sheet
from app.datasets.service import find_dataset
from app.deps import Services
from app.errors import not_found, not_ready
from app.jobs.tables import Item, ItemKind, ItemState, Job


def read_picture(
    services: Services, caller: Caller, job_id: str, index: int, picture: ImageRole
) -> tuple[bytes, str]:
    """One picture of pair ``index``, from 0, and its media type."""
    with services.db.read() as session:
        job = find_dataset(session, job_id, caller)
    refuse_expired(job)
    if index >= job.count:
        raise not_found(f"pair {index}: the data set has pairs 0 to {job.count - 1}")
    if picture not in image_roles(job.request):
        raise not_found(f"{picture} of pair {index}: the order asked for no such masks")
    image_format = format_of(job.request) if picture == "image" else PNG
    return _read(services, caller, job, index, picture), image_format.media_type


def draw_preview(services: Services, caller: Caller, job_id: str) -> bytes:
    """A contact sheet, PNG, of the first pairs that there are."""
    with services.db.read() as session:
        job = find_dataset(session, job_id, caller)
        refuse_expired(job)
        indices = list(_finished_pairs(session, job_id))
    if not indices:
        raise not_ready(job.status, "No pair is finished yet.")
    return contact_sheet(
        [
            (
                _read(services, caller, job, index, "image"),
                _read(services, caller, job, index, "label"),
            )
            for index in indices
        ]
    )


def _read(services: Services, caller: Caller, job: Job, index: int, picture: ImageRole) -> bytes:
    place = (services.storage, job.id, job.plan, index, picture)
    volume = job.volume_with(index)
    try:
        return read_pair(*place, volume["key"] if volume else None)
    except PairNotReady:
        # The packing may have moved the pair into the archive since the job's row was read.
        with services.db.read() as session:
            now = find_dataset(session, job.id, caller)
        packed = now.volume_with(index)
        if packed == volume or packed is None:
            raise not_ready(now.status, f"Pair {index} is not finished yet.") from None
        return read_pair(*place, packed["key"])


def _finished_pairs(session: Session, job_id: str) -> Iterator[int]:
    """The indices of the first finished pairs, at most as many as a contact sheet shows."""
    left = MOST_PAIRS
    shards = session.execute(
        select(Item.first, Item.count)
        .where(Item.job_id == job_id, Item.kind == ItemKind.SHARD, Item.state == ItemState.DONE)
        .order_by(Item.ordinal)
        .limit(MOST_PAIRS)
    )
    for first, count in shards:
        yield from range(first, first + min(count, left))
        left -= min(count, left)
