"""How an upload is shown to its user."""

from typing import Any

from app.jobs.schemas import JobError, Timestamps
from app.jobs.tables import Job, JobStatus
from app.uploads.schemas import (
    PartPlan,
    PartProgress,
    Report,
    Upload,
    UploadLinks,
    UploadRequest,
    UploadSummary,
)


def summary(job: Job) -> UploadSummary:
    """The upload as lists show it."""
    return UploadSummary(**_members(job), parts=_plan(job))


def show(job: Job, report: Report | None, received: int | None = None) -> Upload:
    """The upload with the report of its check, if that has ended, or the parts received before it."""
    plan = _plan(job)
    parts = None if plan is None else PartProgress(**plan.model_dump(), received=received or 0)
    return Upload(**_members(job), parts=parts, report=report)


def _plan(job: Job) -> PartPlan | None:
    if not (job.is_receiving and job.parts):
        return None
    return PartPlan(size=job.parts["size"], count=job.parts["count"])


def _members(job: Job) -> dict[str, Any]:
    return {
        "id": job.id,
        "kind": "upload",
        "status": JobStatus(job.status),
        "request": UploadRequest(**job.request),
        "receiving": job.is_receiving,
        "count": job.count,
        "error": None if job.error is None else JobError(**job.error),
        "links": UploadLinks(self=f"/uploads/{job.id}"),
        "expires_at": job.expires_at,
        "created_at": job.created_at,
        "timestamps": Timestamps(**{name: getattr(job, f"{name}_at") for name in JobStatus}),
    }
