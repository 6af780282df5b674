"""Orders of data sets: checking, quoting, placing, listing; and the pictures of their pairs."""

import secrets
from collections.abc import Iterator
from math import ceil

from sqlalchemy import select, tuple_
from sqlalchemy.orm import Session

from app.archive.pairs import PairNotReady, Which, read_pair
from app.broker import send_hints
from app.datasets.estimates import expected_cost, measured_cost
from app.datasets.preview import MOST_PAIRS, contact_sheet
from app.datasets.schemas import DatasetOrder, DatasetRequest, Quote
from app.deps import Services
from app.errors import invalid_field, invalid_parameter, not_found, not_ready
from app.jobs.orders import create_job
from app.jobs.tables import Item, ItemKind, ItemState, Job, JobStatus
from app.registry.service import RegisteredModel, UnknownModelError

# Drawn seeds are short enough to be typed again.
DRAWN_SEEDS = 2**32
MOST_SHARDS = 9_000  # S3 joins up to 10,000 parts
SPARE = 1.3  # a shard may turn out smaller than expected by this factor


def quote(services: Services, order: DatasetOrder) -> Quote:
    """What the order would cost. It is checked as if it were placed."""
    model, request = _resolve(services, order)
    with services.db.read() as session:
        measured = measured_cost(session, request.model, request.resolution)
    cost = measured or expected_cost(model)
    return Quote(
        request=request,
        seconds=round(request.count * cost.seconds, 1),
        bytes=round(request.count * cost.bytes),
        basis="measured" if measured else "package",
    )


def place_order(services: Services, order: DatasetOrder) -> str:
    """Store the order as a job, tell the workers, and return the job's id."""
    model, request = _resolve(services, order)
    settings = services.settings
    with services.db.read() as session:
        cost = measured_cost(session, request.model, request.resolution) or expected_cost(model)
    shard_pairs = pairs_in_a_shard(services, request.count, cost.bytes)
    job_id = create_job(
        services.db,
        request=request.model_dump(),
        package_digest=model.digest,
        shard_pairs=shard_pairs,
        max_attempts=settings.max_attempts,
    )
    send_hints(settings, -(-request.count // shard_pairs))
    return job_id


def pairs_in_a_shard(services: Services, count: int, bytes_per_pair: float) -> int:
    """The setting, or more where the packing would otherwise have to read or to join too much."""
    joined_unread = SPARE * services.storage.smallest_piece / max(1, bytes_per_pair)
    return max(services.settings.shard_pairs, -(-count // MOST_SHARDS), ceil(joined_unread))


def find_dataset(session: Session, job_id: str) -> Job:
    """The job of a data set that was ordered and not deleted.

    Raises:
        ProblemError: there is none.
    """
    job = session.get(Job, job_id)
    if job is None or job.deleted_at is not None:
        raise not_found(f"data set {job_id!r}")
    return job


def list_jobs(
    session: Session, status: JobStatus | None, after: str | None, limit: int
) -> tuple[list[Job], bool]:
    """A page of data sets, the newest first, and whether there are more."""
    newest_first = (
        select(Job)
        .where(Job.deleted_at.is_(None))
        .order_by(Job.created_at.desc(), Job.id.desc())
        .limit(limit + 1)
    )
    if status is not None:
        newest_first = newest_first.where(Job.status == status)
    if after is not None:
        last = session.get(Job, after)  # a deleted one still marks its place
        if last is None:
            raise invalid_parameter("after", f"There is no data set {after!r}.")
        place = tuple_(last.created_at, last.id)
        newest_first = newest_first.where(tuple_(Job.created_at, Job.id) < place)
    jobs = list(session.scalars(newest_first))
    return jobs[:limit], len(jobs) > limit


def read_picture(services: Services, job_id: str, index: int, picture: Which) -> bytes:
    """The PNG of one picture of pair ``index``, from 0."""
    with services.db.read() as session:
        job = find_dataset(session, job_id)
    if index >= job.count:
        raise not_found(f"pair {index}: the data set has pairs 0 to {job.count - 1}")
    return _read(services, job, index, picture)


def draw_preview(services: Services, job_id: str) -> bytes:
    """A contact sheet, PNG, of the first pairs that there are."""
    with services.db.read() as session:
        job = find_dataset(session, job_id)
        indices = list(_finished_pairs(session, job_id))
    if not indices:
        raise not_ready(job.status, "No pair is finished yet.")
    return contact_sheet(
        [
            (
                _read(services, job, index, "image"),
                _read(services, job, index, "label"),
            )
            for index in indices
        ]
    )


def _read(services: Services, job: Job, index: int, picture: Which) -> bytes:
    place = (services.storage, job.id, job.shard_pairs, index, picture)
    try:
        return read_pair(*place, job.archive_key)
    except PairNotReady:
        # The packing may have moved the pair into the archive since the job's row was read.
        with services.db.read() as session:
            now = find_dataset(session, job.id)
        if now.archive_key == job.archive_key:
            raise not_ready(now.status, f"Pair {index} is not finished yet.") from None
        return read_pair(*place, now.archive_key)


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


def _resolve(services: Services, order: DatasetOrder) -> tuple[RegisteredModel, DatasetRequest]:
    """The model an order means, and the order with everything filled in.

    Raises:
        ProblemError: the order asks for what cannot be had; the problem names the field.
    """
    most = services.settings.max_count
    if order.count > most:
        raise invalid_field("count", f"Input should be less than or equal to {most}")
    try:
        registry = services.registry
        model = registry.default() if order.model is None else registry.find(order.model)
    except UnknownModelError as error:
        raise invalid_field("model", str(error)) from None
    offered = model.manifest.resolutions
    resolution = max(offered) if order.resolution is None else order.resolution
    if resolution not in offered:
        sizes = ", ".join(str(size) for size in offered)
        raise invalid_field("resolution", f"The model {model.id} makes: {sizes}.")
    seed = secrets.randbelow(DRAWN_SEEDS) if order.seed is None else order.seed
    request = DatasetRequest(count=order.count, resolution=resolution, model=model.id, seed=seed)
    return model, request
