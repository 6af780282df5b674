"""How an evaluation is shown to its user."""

from collections.abc import Sequence

from sqlalchemy.orm import Session

from app.evaluations.progress import find_standings
from app.evaluations.schemas import Evaluation, EvaluationLinks, EvaluationRequest
from app.jobs.schemas import JobError, Timestamps
from app.jobs.tables import ACTIVE, Job, JobStatus
from app.training.queue import NO_ESTIMATE, estimate_queue


def show(session: Session, jobs: Sequence[Job]) -> list[Evaluation]:
    """The evaluations with their progress and estimates."""
    standings = find_standings(session, jobs)
    unfinished = any(job.status in ACTIVE for job in jobs)
    estimates = estimate_queue(session) if unfinished else {}
    return [
        Evaluation(
            id=job.id,
            kind="evaluation",
            status=JobStatus(job.status),
            request=EvaluationRequest(**job.request),
            progress=standings[job.id].progress(job),
            estimate=estimates.get(job.id, NO_ESTIMATE),
            summary=standings[job.id].summary,
            package_digest=job.package_digest or None,
            environment=job.environment,
            error=None if job.error is None else JobError(**job.error),
            links=_links(job),
            expires_at=job.expires_at,
            created_at=job.created_at,
            timestamps=Timestamps(**{name: getattr(job, f"{name}_at") for name in JobStatus}),
        )
        for job in jobs
    ]


def _links(job: Job) -> EvaluationLinks:
    home = f"/evaluations/{job.id}"
    written = job.status == JobStatus.SUCCEEDED
    dataset = job.request["dataset"]
    return EvaluationLinks(
        self=home,
        events=f"{home}/events",
        model=f"/models/{job.request['model']}",
        dataset=None if dataset is None else f"/datasets/{dataset}",
        upload=f"/uploads/{job.request['upload']}",
        report=f"{home}/report" if written else None,
        page=f"{home}/report.html" if written else None,
        cancel=f"{home}/cancel" if job.status in ACTIVE else None,
    )
