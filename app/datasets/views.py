"""How a job is shown to its user."""

from collections.abc import Sequence

from sqlalchemy import select
from sqlalchemy.orm import Session

from app.datasets.estimates import pairs_done, queue_estimates
from app.datasets.schemas import (
    Archive,
    Dataset,
    DatasetRequest,
    DeliveryReport,
    Estimate,
    Links,
    Progress,
    Rates,
    WebhookReport,
)
from app.jobs.schemas import JobError, Timestamps
from app.jobs.tables import ACTIVE, ENDED, Delivery, DeliveryState, ItemKind, Job, JobStatus
from app.registry.service import Registry


def show(session: Session, registry: Registry, jobs: Sequence[Job]) -> list[Dataset]:
    """The jobs with their progress and estimates."""
    ids = [job.id for job in jobs]
    # An expired job has no items left to ask.
    whole = {job.id: job.count for job in jobs if job.succeeded_at is not None}
    generated = pairs_done(session, ids, ItemKind.SHARD) | whole
    packaged = pairs_done(session, ids, ItemKind.PACK) | whole
    webhooks = _webhooks(session, jobs)
    unfinished = any(job.status in ACTIVE for job in jobs)
    estimates = queue_estimates(session, registry) if unfinished else {}
    return [
        Dataset(
            id=job.id,
            kind="dataset",
            status=JobStatus(job.status),
            request=DatasetRequest(**job.request),
            progress=Progress(
                requested=job.count,
                generated=generated.get(job.id, 0),
                packaged=packaged.get(job.id, 0),
            ),
            rates=_rates(job),
            estimate=estimates.get(job.id)
            or Estimate(seconds_left=None, queue_position=None, bytes=job.archive_bytes),
            archive=_archive(job),
            package_digest=job.package_digest,
            environment=job.environment,
            error=None if job.error is None else JobError(**job.error),
            links=_links(job),
            webhook=webhooks.get(job.id),
            expires_at=job.expires_at,
            created_at=job.created_at,
            timestamps=Timestamps(**{name: getattr(job, f"{name}_at") for name in JobStatus}),
        )
        for job in jobs
    ]


def retry_after(dataset: Dataset) -> int | None:
    """Seconds after which a look at an unfinished job is worth while: more for long jobs."""
    if dataset.status in ENDED:
        return None
    return max(1, min(10, round((dataset.estimate.seconds_left or 0) / 60)))


def _rates(job: Job) -> Rates | None:
    if job.stage_seconds is None:
        return None
    pairs = job.stage_seconds["pairs"]
    return Rates(
        **{
            stage: round(pairs / max(job.stage_seconds[stage], 1e-6), 2)
            for stage in Rates.model_fields
        }
    )


def _archive(job: Job) -> Archive | None:
    if job.archive_bytes is None or job.manifest_sha256 is None:
        return None
    return Archive(bytes=job.archive_bytes, manifest_sha256=job.manifest_sha256)


def _webhooks(session: Session, jobs: Sequence[Job]) -> dict[str, WebhookReport]:
    """What the jobs' receivers have been told; only of jobs that have one."""
    reports = {
        job.id: WebhookReport(url=job.webhook_url, deliveries=[])
        for job in jobs
        if job.webhook_url is not None
    }
    if reports:
        of_jobs = select(Delivery).where(Delivery.job_id.in_(reports))
        for delivery in session.scalars(of_jobs.order_by(Delivery.created_at)):
            reports[delivery.job_id].deliveries.append(
                DeliveryReport(
                    event=delivery.event,
                    state=DeliveryState(delivery.state),
                    attempts=delivery.attempts,
                    last_error=delivery.last_error,
                )
            )
    return reports


def _links(job: Job) -> Links:
    home = f"/datasets/{job.id}"
    return Links(
        self=home,
        download=f"{home}/download" if job.has_archive else None,
        events=f"{home}/events",
        preview=f"{home}/preview",
        cancel=f"{home}/cancel" if job.status in ACTIVE else None,
    )
