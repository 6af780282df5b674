"""Orders of data sets: checking, quoting, placing; and the pictures of their pairs."""

import secrets
from collections.abc import Iterator
from math import ceil

from sqlalchemy import select
from sqlalchemy.exc import IntegrityError
from sqlalchemy.orm import Session

from app.access.caller import Caller
from app.access.idempotency import digest_of, job_of
from app.access.jobs import find_job
from app.archive.pairs import PairNotReady, Which, read_pair
from app.broker import send_hints
from app.datasets.estimates import expected_cost, measured_cost
from app.datasets.preview import MOST_PAIRS, contact_sheet
from app.datasets.quotas import QuotaError, check_quotas, largest_order
from app.datasets.schemas import DatasetOrder, DatasetRequest, Quote, Webhook
from app.deps import Services
from app.errors import expired, invalid_field, not_found, not_ready
from app.jobs.orders import Idempotency, create_job, request_cancel, request_delete
from app.jobs.tables import Item, ItemKind, ItemState, Job, JobKind, JobStatus
from app.registry.service import RegisteredModel, UnknownModelError
from app.settings import Settings
from app.webhooks.targets import ForbiddenTarget, check_url

# Drawn seeds are short enough to be typed again.
DRAWN_SEEDS = 2**32
MOST_SHARDS = 9_000  # S3 joins up to 10,000 parts
SPARE = 1.3  # a shard may turn out smaller than expected by this factor


def quote(services: Services, caller: Caller, order: DatasetOrder) -> Quote:
    """What the order would cost. It is checked as if it were placed on an unused quota."""
    model, request = _resolve(services, caller, order)
    with services.db.read() as session:
        measured = measured_cost(session, request.model, request.resolution)
    cost = measured or expected_cost(model)
    return Quote(
        request=request,
        seconds=round(request.count * cost.seconds, 1),
        bytes=round(request.count * cost.bytes),
        basis="measured" if measured else "package",
    )


def place_order(
    services: Services, caller: Caller, order: DatasetOrder, key: str | None = None
) -> str:
    """Store the order as a job of the caller's, tell the workers, and return the job's id.

    With an idempotency key (a plain one) that the same owner placed an equal order with, return that
    order's job instead.

    Raises:
        ProblemError: the order cannot be placed, or the key was used for another one.
    """
    idempotency = None
    if key is not None:
        idempotency = Idempotency(key, digest_of(order))
        if first := job_of(services, caller, idempotency):
            return first
    model, request = _resolve(services, caller, order)
    settings = services.settings
    with services.db.read() as session:
        cost = measured_cost(session, request.model, request.resolution) or expected_cost(model)
    shard_pairs = pairs_in_a_shard(services, request.count, cost.bytes)
    hours = settings.retention_hours
    try:
        job_id = create_job(
            services.db,
            request=request.model_dump(exclude_none=True),
            package_digest=model.digest,
            shard_pairs=shard_pairs,
            owner=caller.owner,
            max_attempts=settings.max_attempts,
            retention_seconds=None if hours is None else hours * 3600,
            idempotency=idempotency,
            webhook_url=None if order.webhook is None else order.webhook.url,
            check=lambda session, now: check_quotas(session, services, caller, request.count, now),
            clock=services.clock,
        )
    except (IntegrityError, QuotaError):
        # The same order may have come twice at once, and the other one was first.
        if idempotency and (first := job_of(services, caller, idempotency)):
            return first
        raise
    send_hints(settings, -(-request.count // shard_pairs))
    return job_id


def pairs_in_a_shard(services: Services, count: int, bytes_per_pair: float) -> int:
    """The setting, or more where the packing would otherwise have to read or to join too much."""
    joined_unread = SPARE * services.storage.smallest_piece / max(1, bytes_per_pair)
    return max(services.settings.shard_pairs, -(-count // MOST_SHARDS), ceil(joined_unread))


def find_dataset(session: Session, job_id: str, caller: Caller) -> Job:
    """The job of a data set that the caller may see, and that was not deleted.

    Raises:
        ProblemError: there is none.
    """
    job = find_job(session, JobKind.DATASET, job_id, caller)
    if job is None or job.deleted_at is not None:
        raise not_found(f"data set {job_id!r}")
    return job


def cancel_dataset(services: Services, caller: Caller, job_id: str) -> None:
    """Cancel the job; in a state that cannot be cancelled, nothing changes.

    Raises:
        ProblemError: there is no such data set.
    """
    with services.db.read() as session:
        find_dataset(session, job_id, caller)
    request_cancel(services.db, job_id)


def delete_dataset(services: Services, caller: Caller, job_id: str) -> None:
    """Delete the data set; one that is deleted already stays so.

    Raises:
        ProblemError: there never was such a data set.
    """
    with services.db.read() as session:
        job = find_job(session, JobKind.DATASET, job_id, caller)
    if job is None:
        raise not_found(f"data set {job_id!r}")
    request_delete(services.db, job_id)


def refuse_expired(job: Job) -> None:
    """Raises the problem of an expired data set, if this is one."""
    if job.status == JobStatus.EXPIRED:
        raise expired(f"data set {job.id}")


def read_picture(
    services: Services, caller: Caller, job_id: str, index: int, picture: Which
) -> bytes:
    """The PNG of one picture of pair ``index``, from 0."""
    with services.db.read() as session:
        job = find_dataset(session, job_id, caller)
    refuse_expired(job)
    if index >= job.count:
        raise not_found(f"pair {index}: the data set has pairs 0 to {job.count - 1}")
    return _read(services, caller, job, index, picture)


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


def _read(services: Services, caller: Caller, job: Job, index: int, picture: Which) -> bytes:
    place = (services.storage, job.id, job.shard_pairs, index, picture)
    try:
        return read_pair(*place, job.archive_key)
    except PairNotReady:
        # The packing may have moved the pair into the archive since the job's row was read.
        with services.db.read() as session:
            now = find_dataset(session, job.id, caller)
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


def _resolve(
    services: Services, caller: Caller, order: DatasetOrder
) -> tuple[RegisteredModel, DatasetRequest]:
    """The model an order means, and the order with everything filled in.

    Raises:
        ProblemError: the order asks for what cannot be had; the problem names the field.
    """
    most = largest_order(services.settings, caller)
    if order.count > most:
        raise invalid_field("count", f"Input should be less than or equal to {most}")
    try:
        with services.db.read() as session:
            model = services.registry.meant(session, caller, order.model)
    except UnknownModelError as error:
        raise invalid_field("model", str(error)) from None
    offered = model.manifest.resolutions
    resolution = max(offered) if order.resolution is None else order.resolution
    if resolution not in offered:
        sizes = ", ".join(str(size) for size in offered)
        raise invalid_field("resolution", f"The model {model.id} makes: {sizes}.")
    if order.webhook is not None:
        _check_webhook(services.settings, order.webhook)
    seed = secrets.randbelow(DRAWN_SEEDS) if order.seed is None else order.seed
    request = DatasetRequest(
        count=order.count,
        resolution=resolution,
        model=model.id,
        seed=seed,
        splits=order.splits,
        layout=order.layout,
    )
    return model, request


def _check_webhook(settings: Settings, webhook: Webhook) -> None:
    """Raises the problem that this webhook cannot be called, as far as can be told beforehand."""
    if settings.webhook_secret is None:
        raise invalid_field(
            "webhook", "This service sends no webhooks: FUNDUSMITH_WEBHOOK_SECRET is not set."
        )
    try:
        check_url(webhook.url, settings.webhook_private_targets)
    except ForbiddenTarget as error:
        raise invalid_field("webhook/url", str(error)) from None
