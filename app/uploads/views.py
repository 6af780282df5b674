"""How an upload is shown to its user."""

from typing import Any

from app.jobs.schemas import JobError, Timestamps
from app.jobs.tables import Job, JobStatus
from app.uploads.schemas import Report, Upload, UploadLinks, UploadRequest, UploadSummary


def summary(job: Job) -> UploadSummary:
    """The upload as lists show it."""
    return UploadSummary(**_members(job))


def show(job: Job, report: Report | None) -> Upload:
    """The upload with the report of its check, if that has ended."""
    return Upload(**_members(job), report=report)


def _members(job: Job) -> dict[str, Any]:
    return {
        "id": job.id,
        "kind": "upload",
        "status": JobStatus(job.status),
        "request": UploadRequest(**job.request),
        "count": job.count,
        "error": None if job.error is None else JobError(**job.error),
        "links": UploadLinks(self=f"/uploads/{job.id}"),
        "expires_at": job.expires_at,
        "created_at": job.created_at,
        "timestamps": Timestamps(**{name: getattr(job, f"{name}_at") for name in JobStatus}),
    }
