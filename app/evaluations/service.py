"""Evaluations: checking and placing orders, cancelling, deleting, and the reports."""

import secrets
from collections.abc import Collection
from dataclasses import dataclass
from datetime import datetime
from functools import partial
from typing import Any

from sqlalchemy.orm import Session

from app.access.caller import Caller
from app.access.idempotency import place_once
from app.access.jobs import find_job, get_job, refuse_expired, terms_for
from app.broker import send_hints
from app.deps import Services
from app.errors import invalid_field, not_ready
from app.evaluations.schemas import (
    FEWEST_GENERATED,
    PAIRS,
    EvaluationOrder,
    RealPair,
)
from app.evaluations.split import FEWEST, split_pairs
from app.jobs.evaluations import PARTS, create_evaluation, report_result, step_names
from app.jobs.states import find_job as lock_if_there
from app.jobs.tables import Job, JobKind, JobStatus, Role
from app.jobs.terms import Idempotency
from app.registry.service import RegisteredModel, UnknownModelError
from app.registry.stored import keep_shipped
from app.uploads.service import find_pairs, keep_pairs, read_report

DRAWN_SEEDS = 2**32  # short enough to be typed again
# A worker holds all generated pairs in memory, 5 bytes a pixel, and as many rendered ones: 3 GiB, which
# with all else fit into the 6 that worker-train may take in k8s/.
MOST_PIXELS = 5_000 * 256**2


@dataclass(frozen=True)
class _Subject:
    """What is evaluated."""

    model: str  # name@version
    digest: str  # of the model's package; "" if it is not at hand
    learned: Collection[str]  # names of the photographs that the model has learned from
    resolution: int
    dataset: Job | None = None


def place_order(
    services: Services, caller: Caller, order: EvaluationOrder, key: str | None = None
) -> str:
    """Store the order as a job of the caller's, tell the workers, and return the job's id.

    With an idempotency key (a plain one) that the same owner placed an equal order with, return that
    order's job instead.

    Raises:
        ProblemError: the order cannot be placed, or the key was used for another one.
    """
    return place_once(services, caller, order, key, partial(_place, services, caller, order))


def _place(
    services: Services, caller: Caller, order: EvaluationOrder, idempotency: Idempotency | None
) -> str:
    with services.db.read() as session:
        subject = _find_subject(session, services, caller, order)
        upload = find_pairs(session, caller, order.upload, 2 * FEWEST)
        model = services.registry.get(session, subject.model) if subject.digest else None
    if model is not None:
        keep_shipped(services.db, services.storage, model, services.clock)
    request = _resolve(services, order, subject, upload)

    def check(session: Session, _now: datetime) -> None:
        # One after the other, in the order of their ids: who locks both cannot wait for each other.
        for job_id in sorted(filter(None, (order.upload, order.dataset))):
            lock_if_there(session, job_id)
        keep_pairs(session, caller, order.upload, 2 * FEWEST)
        if order.dataset is not None:
            _find_dataset(session, caller, order.dataset)

    job_id = create_evaluation(
        services.db,
        request=request,
        package_digest=subject.digest,
        pairs=upload.count,
        check=check,
        **terms_for(services, caller, idempotency),
    )
    send_hints(services.settings, len(step_names(request)), Role.TRAIN)
    return job_id


def find_evaluation(session: Session, evaluation_id: str, caller: Caller) -> Job:
    """The job of an evaluation that the caller may see, and that was not deleted.

    Raises:
        ProblemError: there is none.
    """
    return get_job(session, JobKind.EVALUATION, evaluation_id, caller)


def report_key(services: Services, caller: Caller, evaluation_id: str, which: str) -> str:
    """Where the evaluation's ``report`` (JSON) or ``page`` (HTML) is stored.

    Raises:
        ProblemError: there is no such evaluation, or it has no report, or no longer.
    """
    with services.db.read() as session:
        job = find_evaluation(session, evaluation_id, caller)
        refuse_expired(job)
        written = report_result(session, job.id)
    if written is None or job.status != JobStatus.SUCCEEDED:
        raise not_ready(job.status, f"The evaluation has no report: it is {job.status}.")
    return written[which]


def _find_subject(
    session: Session, services: Services, caller: Caller, order: EvaluationOrder
) -> _Subject:
    """What the order names.

    Raises:
        ProblemError: it cannot be evaluated; the problem names the field.
    """
    if (order.model is None) == (order.dataset is None):
        raise invalid_field("model", "Give either model or dataset.")
    if order.model is not None:
        try:
            model = services.registry.find(session, caller, order.model)
        except UnknownModelError as error:
            raise invalid_field("model", str(error)) from None
        return _Subject(model.id, model.digest, _learned(model), model.manifest.default_resolution)
    assert order.dataset is not None
    job = _find_dataset(session, caller, order.dataset)
    known = services.registry.get(session, job.request["model"])
    if known is None or known.digest != job.package_digest:
        return _Subject(job.request["model"], "", (), job.request["resolution"], job)
    # A deleted one still says what it has learned from, but is not fetched any more.
    try:
        digest = services.registry.find(session, caller, known.id).digest
    except UnknownModelError:
        digest = ""
    return _Subject(known.id, digest, _learned(known), job.request["resolution"], job)


def _learned(model: RegisteredModel) -> Collection[str]:
    return frozenset(model.manifest.training_data.images)


def _find_dataset(session: Session, caller: Caller, dataset_id: str) -> Job:
    job = find_job(session, JobKind.DATASET, dataset_id, caller)
    if job is None or job.deleted_at is not None:
        raise invalid_field("dataset", f"There is no data set {dataset_id!r}.")
    if job.status != JobStatus.SUCCEEDED:
        raise invalid_field("dataset", f"It must have succeeded; it is {job.status}.")
    if job.count < FEWEST_GENERATED:
        raise invalid_field("dataset", f"It has {job.count} pairs; {FEWEST_GENERATED} are needed.")
    return job


def _resolve(
    services: Services, order: EvaluationOrder, subject: _Subject, upload: Job
) -> dict[str, Any]:
    """The order with everything filled in (EvaluationRequest).

    Raises:
        ProblemError: it asks for what cannot be had; the problem names the field.
    """
    report = read_report(services, upload.id)
    if report is None:
        raise invalid_field("upload", f"There is no upload {upload.id!r}.")  # it has just expired
    photographs = [RealPair(number=each.number, file=each.image or "") for each in report.used]
    train, hold_out = split_pairs(photographs, subject.learned, order.train, order.hold_out)
    parts = PARTS if subject.digest else tuple(part for part in PARTS if part != "rendered")
    if order.only is not None and (lacking := set(order.only) - set(parts)):
        detail = f"{subject.model} is no longer there to photograph real maps: leave it out."
        raise invalid_field("only", f"{', '.join(lacking)}: {detail}")
    return {
        "model": subject.model,
        "dataset": order.dataset,
        "upload": upload.id,
        "resolution": subject.resolution,
        "train": [pair.model_dump() for pair in train],
        "hold_out": [pair.model_dump() for pair in hold_out],
        "pairs": _pairs(order, subject),
        "seeds": order.seeds,
        "steps": order.steps,
        "seed": secrets.randbelow(DRAWN_SEEDS) if order.seed is None else order.seed,
        "copy_overlap": order.copy_overlap,
        "network": order.network,
        "only": [part for part in parts if order.only is None or part in order.only],
    }


def _pairs(order: EvaluationOrder, subject: _Subject) -> int:
    """Generated pairs to look at."""
    most = max(FEWEST_GENERATED, MOST_PIXELS // subject.resolution**2)
    why = f"of {subject.resolution} px are taken at most"
    if subject.dataset is not None and subject.dataset.count < most:
        most, why = subject.dataset.count, "are in the data set"
    if order.pairs is None:
        return min(PAIRS, most)
    if order.pairs > most:
        raise invalid_field("pairs", f"{most} pairs {why}.")
    return order.pairs
