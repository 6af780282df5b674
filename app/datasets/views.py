"""How a job is shown to its user."""

from collections.abc import Mapping, Sequence

from sqlalchemy import select
from sqlalchemy.orm import Session

from app.datasets.estimates import (
    pairs_done,
    pairs_rejected,
    queue_estimates,
    unfinished_orders,
)
from app.datasets.schemas import (
    Archive,
    Dataset,
    DatasetRequest,
    DeliveryReport,
    Estimate,
    Links,
    Progress,
    Rates,
    Volume,
    WebhookReport,
)
from app.jobs.schemas import JobError, Timestamps
from app.jobs.tables import ACTIVE, Delivery, DeliveryState, ItemKind, Job, JobStatus
from app.registry.service import Registry


def show(session: Session, registry: Registry, jobs: Sequence[Job]) -> list[Dataset]:
    """The jobs with their progress and estimates."""
    orders = unfinished_orders(session) if any(job.status in ACTIVE for job in jobs) else []
    begun = {job.id for job in (*jobs, *orders) if job.status != JobStatus.QUEUED}
    done = pairs_done(session, begun)
    estimates = queue_estimates(session, registry, orders, done) if orders else {}
    webhooks = _webhooks(session, jobs)
    return [
        Dataset(
            id=job.id,
            kind="dataset",
            status=JobStatus(job.status),
            request=DatasetRequest(**job.request),
            progress=Progress(
                requested=job.count,
                generated=_finished(job, ItemKind.SHARD, done),
                packaged=_finished(job, ItemKind.PACK, done),
                rejected=pairs_rejected(session, job),
            ),
            rates=_rates(job),
            estimate=estimates.get(job.id)
            or Estimate(
                seconds_left=None, queue_position=None, bytes=archive.bytes if archive else None
            ),
            archive=archive,
            package_digest=job.package_digest,
            environment=job.environment,
            error=None if job.error is None else JobError(**job.error),
            links=_links(job),
            webhook=webhooks.get(job.id),
            deadline=job.deadline_at,
            expires_at=job.expires_at,
            created_at=job.created_at,
            timestamps=Timestamps(**{name: getattr(job, f"{name}_at") for name in JobStatus}),
        )
        for job, archive in zip(jobs, map(_archive, jobs), strict=True)
    ]


def _finished(job: Job, kind: ItemKind, done: Mapping[tuple[str, str], int]) -> int:
    """Pairs. An expired job has no items left to ask."""
    return job.count if job.succeeded_at is not None else done.get((job.id, kind), 0)


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
    """The volumes of a job that ended with some."""
    volumes = job.volumes or []
    if not volumes or (job.succeeded_at is None and job.cancelled_at is None):
        return None
    return Archive(
        bytes=sum(volume["bytes"] for volume in volumes),
        manifest_sha256=volumes[0]["manifest_sha256"] if len(volumes) == 1 else None,
        volumes=[
            Volume(
                **volume,
                download=f"{_home(job)}/download?volume={volume['number']}"
                if job.has_archive
                else None,
            )
            for volume in volumes
        ],
    )


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


def _home(job: Job) -> str:
    return f"/datasets/{job.id}"


def _links(job: Job) -> Links:
    home, only_one = _home(job), len(job.volumes or ()) == 1
    return Links(
        self=home,
        download=f"{home}/download" if job.has_archive and only_one else None,
        events=f"{home}/events",
        preview=f"{home}/preview",
        cancel=f"{home}/cancel" if job.status in ACTIVE else None,
    )
