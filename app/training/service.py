"""Training runs: checking and placing orders, cancelling, resuming, deleting."""

import secrets
from datetime import datetime
from functools import partial
from typing import Any

from sqlalchemy.orm import Session

from app.access.caller import Caller
from app.access.idempotency import place_once
from app.access.jobs import get_job, refuse_expired, terms_for
from app.broker import send_hints
from app.deps import Services
from app.errors import ProblemError, invalid_field, not_ready
from app.jobs.runs import create_run, resume_run
from app.jobs.tables import ACTIVE, Job, JobKind, Role
from app.jobs.terms import Idempotency
from app.registry.service import RegisteredModel, UnknownModelError
from app.registry.stored import keep_shipped
from app.training.schemas import Budget, TrainingOrder
from app.training.views import RESUMABLE
from app.uploads.service import find_pairs, keep_pairs

DRAWN_SEEDS = 2**32  # short enough to be typed again
FEWEST_PAIRS = 4


def place_order(
    services: Services, caller: Caller, order: TrainingOrder, key: str | None = None
) -> str:
    """Store the order as a job of the caller's, tell the workers, and return the job's id.

    With an idempotency key (a plain one) that the same owner placed an equal order with, return that
    order's job instead.

    Raises:
        ProblemError: the order cannot be placed, or the key was used for another one.
    """
    return place_once(services, caller, order, key, partial(_place, services, caller, order))


def _place(
    services: Services, caller: Caller, order: TrainingOrder, idempotency: Idempotency | None
) -> str:
    with services.db.read() as session:
        upload = find_pairs(session, caller, order.upload, FEWEST_PAIRS)
        model = _find_model(session, services, caller, order)
    if model is not None:
        keep_shipped(services.db, services.storage, model, services.clock)
    job_id = create_run(
        services.db,
        request=_resolve(order, model),
        package_digest="" if model is None else model.digest,
        pairs=upload.count,
        check=lambda session, now: keep_pairs(session, caller, order.upload, FEWEST_PAIRS),
        **terms_for(services, caller, idempotency),
    )
    send_hints(services.settings, 1, Role.TRAIN)
    return job_id


def find_run(session: Session, run_id: str, caller: Caller) -> Job:
    """The job of a run that the caller may see, and that was not deleted.

    Raises:
        ProblemError: there is none.
    """
    return get_job(session, JobKind.TRAINING, run_id, caller)


def continue_run(services: Services, caller: Caller, run_id: str, budget: Budget | None) -> None:
    """Queue a cancelled or failed run again; one that goes on already stays as it is.

    Raises:
        ProblemError: there is no such run, it has succeeded or expired, the budget is smaller than it
            was, or the upload is gone.
    """
    with services.db.read() as session:
        job = find_run(session, run_id, caller)
    before = Budget(**job.request["budget"])
    budget = budget or before
    if not budget.covers(before):
        had = ", ".join(f"{value:g} {unit}" for unit, value in job.request["budget"].items())
        raise invalid_field("budget", f"Each stage had {had}; give as much, or more.")
    refuse_expired(job)
    if job.status in ACTIVE and budget == before:
        return
    if job.status not in RESUMABLE:
        raise not_ready(job.status, f"There is nothing to go on with: the run is {job.status}.")

    def check(session: Session, _now: datetime) -> None:
        try:
            keep_pairs(session, caller, job.request["upload"], FEWEST_PAIRS)
        except ProblemError:
            raise not_ready(job.status, "The upload that the run learns from is gone.") from None

    if resume_run(services.db, run_id, budget.model_dump(exclude_none=True), check):
        send_hints(services.settings, 1, Role.TRAIN)


def _resolve(order: TrainingOrder, model: RegisteredModel | None) -> dict[str, Any]:
    """The order with everything filled in that does not depend on the device (TrainingRequest)."""
    return {
        **order.model_dump(exclude={"from_"}),
        "budget": order.budget.model_dump(exclude_none=True),
        "from": None if model is None else model.id,
        "seed": secrets.randbelow(DRAWN_SEEDS) if order.seed is None else order.seed,
        "settings": order.settings.model_dump(exclude_unset=True),
    }


def _find_model(
    session: Session, services: Services, caller: Caller, order: TrainingOrder
) -> RegisteredModel | None:
    """The model to start from, if the order names one.

    Raises:
        ProblemError: there is none, or it does not have what the order lacks.
    """
    if order.from_ is None:
        if order.stages != "both":
            other = "photo" if order.stages == "vessel" else "vessel"
            raise invalid_field("from", f"Name a model to take the stage {other} from.")
        if order.settings.vessel.refining == 1:
            raise invalid_field("from", "Name a model whose vessel maps are to be refined.")
        return None
    try:
        model = services.registry.find(session, caller, order.from_)
    except UnknownModelError as error:
        raise invalid_field("from", str(error)) from None
    if not model.manifest.trainable_here:
        raise invalid_field(
            "from",
            f"Training over the service cannot start from {model.id}, whose labels are its maps. Leave the "
            "field out, or use the command python -m models.training.generators.",
        )
    made = model.manifest.resolutions
    if order.stages == "photo" and order.resolution not in made:
        sizes = ", ".join(map(str, made))
        raise invalid_field("from", f"Its vessel maps have {sizes} px, not {order.resolution}.")
    return model
