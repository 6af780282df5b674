"""The finished pairs of a data set, one by one: seed, split and measured values."""

from itertools import groupby

from sqlalchemy import select
from sqlalchemy.orm import Session

from app.access.caller import Caller
from app.access.jobs import refuse_expired
from app.archive.layout import image_roles, index_key, split_of
from app.archive.segment import PairRecord, read_index
from app.datasets.schemas import Pair, PairLinks, PairList
from app.datasets.service import find_dataset
from app.deps import Services
from app.jobs.tables import Item, ItemKind, ItemState, Job
from app.storage import Storage, StorageKeyError

MOST_PAIRS = 100  # in one answer


def list_pairs(services: Services, caller: Caller, job_id: str, first: int, limit: int) -> PairList:
    """Those of the pairs ``first`` to ``first + limit - 1`` that are finished, by index.

    Raises:
        ProblemError: there is no such data set, or it has expired.
    """
    with services.db.read() as session:
        job = find_dataset(session, job_id, caller)
        refuse_expired(job)
        wanted = range(first, min(first + limit, job.count))
        shards = {shard for shard, _ in groupby(wanted, lambda index: job.plan.find(index)[1])}
        done = _finished(session, job_id, shards)
    return PairList(
        data=[
            _show(record, job)
            for shard in done
            for record in _records(services.storage, job_id, shard)
            if record.index in wanted
        ],
        has_more=first + limit < job.count,
    )


def _finished(session: Session, job_id: str, shards: set[int]) -> list[int]:
    """Which of the shards are done, in order."""
    rows = select(Item.ordinal).where(
        Item.job_id == job_id,
        Item.kind == ItemKind.SHARD,
        Item.state == ItemState.DONE,
        Item.ordinal.in_(shards),
    )
    return sorted(session.scalars(rows))


def _records(storage: Storage, job_id: str, shard: int) -> list[PairRecord]:
    try:
        return list(read_index(storage.read(index_key(job_id, shard)))[1])
    except StorageKeyError:
        return []  # the data set has been deleted meanwhile


def _show(record: PairRecord, job: Job) -> Pair:
    home = f"/datasets/{job.id}/pairs/{record.index}"
    return Pair(
        index=record.index,
        seed=str(record.seed),
        split=split_of(record.index, job.request),
        vessel_share=record.vessel_share,
        quality=record.quality,
        rejected=record.rejected,
        map=record.map,
        links=PairLinks(**{role: f"{home}/{role}" for role in image_roles(job.request)}),
    )
