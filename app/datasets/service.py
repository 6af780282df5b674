"""Orders of data sets: checking, quoting, placing, ending; and the volumes they come in."""

import secrets
from datetime import datetime
from functools import partial
from math import ceil
from typing import Any

from sqlalchemy.orm import Session

from app.access.caller import Caller
from app.access.idempotency import place_once
from app.access.jobs import get_job, terms_for
from app.archive.layout import TAR_PAIRS, layout_of
from app.archive.plan import VOLUME_PAIRS, Plan, largest_volume
from app.broker import send_hints
from app.datasets.constraints import check_eye, check_limits, check_masks, expected_slowdown
from app.datasets.estimates import PairCost, expected_cost, measured_cost
from app.datasets.maps import avoided_maps, given_maps, keep_maps
from app.datasets.quotas import check_quotas, largest_order
from app.datasets.schemas import DatasetOrder, DatasetRequest, Lesions, Quote, Webhook
from app.deps import Services
from app.errors import invalid_field, invalid_parameter, not_found, not_ready
from app.jobs.orders import create_job
from app.jobs.tables import Job, JobKind
from app.jobs.terms import Idempotency
from app.registry.schemas import MASK_CHANNELS
from app.registry.service import RegisteredModel, UnknownModelError
from app.registry.stored import keep_shipped
from app.settings import Settings
from app.webhooks.targets import ForbiddenTarget, check_url

# Drawn seeds are short enough to be typed again.
DRAWN_SEEDS = 2**32
MOST_SHARDS = 9_000  # of a volume: S3 joins up to 10,000 parts
MOST_VOLUMES = 1_000
SPARE = 1.3  # a shard may turn out smaller than expected by this factor


def quote(services: Services, caller: Caller, order: DatasetOrder) -> Quote:
    """What the order would cost. It is checked as if it were placed on an unused quota."""
    model, request = _resolve(services, caller, order)
    cost = _cost(services, model, request)
    slowdown = expected_slowdown(request.model_dump(exclude_none=True), model)
    return Quote(
        request=request,
        seconds=round(request.count * cost.seconds * slowdown, 1),
        bytes=round(request.count * cost.bytes),
        basis="measured" if cost.measured else "package",
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
    return place_once(services, caller, order, key, partial(_place, services, caller, order))


def _place(
    services: Services, caller: Caller, order: DatasetOrder, idempotency: Idempotency | None
) -> str:
    model, request = _resolve(services, caller, order)
    settings = services.settings
    shard_pairs = pairs_in_a_shard(
        services,
        request.volume_pairs or request.count,
        _cost(services, model, request).bytes,
    )
    keep_shipped(services.db, services.storage, model, services.clock)

    def check(session: Session, now: datetime) -> None:
        check_quotas(session, services, caller, request.count, now)
        if request.maps is not None:
            keep_maps(session, request.maps.upload, caller, "maps")
        if request.not_like is not None:
            keep_maps(session, request.not_like.upload, caller, "not_like/upload")

    job_id = create_job(
        services.db,
        request=request.model_dump(exclude_none=True),
        package_digest=model.digest,
        shard_pairs=shard_pairs,
        webhook_url=None if order.webhook is None else order.webhook.url,
        deadline=order.deadline,
        check=check,
        **terms_for(services, caller, idempotency),
    )
    send_hints(settings, Plan.of(request.model_dump(), shard_pairs).shards)
    return job_id


def _cost(services: Services, model: RegisteredModel, request: DatasetRequest) -> PairCost:
    order = request.model_dump()
    with services.db.read() as session:
        return measured_cost(session, order) or expected_cost(model, order)


def pairs_in_a_shard(services: Services, volume_pairs: int, bytes_per_pair: float) -> int:
    """The setting, or more where the packing would otherwise have to read or to join too much."""
    joined_unread = SPARE * services.storage.smallest_piece / max(1, bytes_per_pair)
    return max(services.settings.shard_pairs, -(-volume_pairs // MOST_SHARDS), ceil(joined_unread))


def find_dataset(session: Session, job_id: str, caller: Caller) -> Job:
    """The job of a data set that the caller may see, and that was not deleted.

    Raises:
        ProblemError: there is none.
    """
    return get_job(session, JobKind.DATASET, job_id, caller)


def find_volume(job: Job, number: int | None) -> dict[str, Any]:
    """The packed volume that is asked for; no number is needed if there is only one.

    Raises:
        ProblemError: there is none, or it must be said which.
    """
    if not job.volumes or not job.has_archive:
        raise not_ready(job.status, f"The data set has no archive: the job is {job.status}.")
    if number is None and len(job.volumes) > 1:
        numbers = ", ".join(str(volume["number"]) for volume in job.volumes)
        raise invalid_parameter("volume", f"The data set has several volumes, name one: {numbers}")
    for volume in job.volumes:
        if number in (None, volume["number"]):
            return volume
    raise not_found(f"volume {number} of the data set {job.id!r}")


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
            model = services.registry.resolve_model(session, caller, order.model, order.resolution)
    except UnknownModelError as error:
        raise invalid_field("model", str(error)) from None
    offered = model.manifest.resolutions
    resolution = order.resolution or model.manifest.default_resolution
    if resolution not in offered:
        sizes = ", ".join(str(size) for size in offered)
        raise invalid_field("resolution", f"The model {model.id} makes: {sizes}.")
    check_eye(order, model)
    check_masks(services, caller, order, model)
    if order.webhook is not None:
        _check_webhook(services.settings, order.webhook)
    if order.deadline is not None and order.deadline <= services.clock():
        raise invalid_field("deadline", "This time has passed already.")
    seed = secrets.randbelow(DRAWN_SEEDS) if order.seed is None else order.seed
    request = DatasetRequest(
        count=order.count,
        resolution=resolution,
        model=model.id,
        seed=seed,
        splits=order.splits,
        layout=order.layout,
        image_format=order.image_format,
        volume_pairs=_volume_pairs(order, resolution),
        style_seed=order.style_seed,
        eye=order.eye,
        vessel_share=order.vessel_share,
        minimum_quality=order.minimum_quality,
        maps=given_maps(services, caller, order),
        not_like=avoided_maps(services, caller, order),
        lesions=_lesions(order, model),
        masks=[mask for mask in MASK_CHANNELS if mask in (order.masks or ())] or None,
    )
    check_limits(request.model_dump(exclude_none=True), model)
    return model, request


def _lesions(order: DatasetOrder, model: RegisteredModel) -> Lesions | None:
    """Which lesions the pairs will show; None if neither order nor model know of any."""
    if "lesions" not in model.manifest.masks:
        return None if order.lesions is None else "none"
    return "none" if order.maps is not None else order.lesions or "mixed"


def _volume_pairs(order: DatasetOrder, resolution: int) -> int | None:
    """Pairs in each volume, if the order needs several.

    Raises:
        ProblemError: they would be too many.
    """
    least = -(-order.count // MOST_VOLUMES)
    if order.volume_pairs is not None and order.volume_pairs < least:
        detail = f"Input should be at least {least}: an order has {MOST_VOLUMES} volumes at most"
        raise invalid_field("volume_pairs", detail)
    pairs = max(least, min(order.volume_pairs or VOLUME_PAIRS, largest_volume(resolution)))
    if layout_of(order.model_dump()).tar is not None:
        pairs = -(-pairs // TAR_PAIRS) * TAR_PAIRS
    return pairs if order.count > pairs else None


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
