"""How a training run is shown to its user."""

from collections.abc import Sequence

from sqlalchemy.orm import Session

from app.jobs.schemas import JobError, Timestamps
from app.jobs.tables import ACTIVE, Job, JobStatus
from app.training.progress import Place, find_places, stages_of
from app.training.queue import NO_ESTIMATE, estimate_queue
from app.training.schemas import (
    RunLinks,
    RunProgress,
    StageProgress,
    TrainingRequest,
    TrainingRun,
)

RESUMABLE = (JobStatus.CANCELLED, JobStatus.FAILED)


def show(session: Session, jobs: Sequence[Job]) -> list[TrainingRun]:
    """The runs with their progress and estimates."""
    places = find_places(session, [job.id for job in jobs])
    unfinished = any(job.status in ACTIVE for job in jobs)
    estimates = estimate_queue(session) if unfinished else {}
    return [
        TrainingRun(
            id=job.id,
            kind="training",
            status=JobStatus(job.status),
            request=TrainingRequest(**job.request),
            pairs=job.count,
            progress=_progress(places[job.id], job),
            estimate=estimates.get(job.id, NO_ESTIMATE),
            settings=places[job.id].newest.get("settings"),
            environment=job.environment,
            model=job.model,
            error=None if job.error is None else JobError(**job.error),
            links=_links(job),
            expires_at=job.expires_at,
            created_at=job.created_at,
            timestamps=Timestamps(**{name: getattr(job, f"{name}_at") for name in JobStatus}),
        )
        for job in jobs
    ]


def _progress(place: Place, job: Job) -> RunProgress:
    budget = job.request["budget"]
    return RunProgress(
        slice=place.slice,
        stage=place.live.get("stage"),
        stages=[
            StageProgress(
                stage=stage,
                images=place.spent(stage)[0],
                minutes=round(place.spent(stage)[1] / 60, 2),
                of_images=budget.get("images"),
                of_minutes=budget.get("minutes"),
            )
            for stage in stages_of(job)
        ],
        images_per_second=place.live.get("images_per_second"),
        seconds_left=place.live.get("seconds_left"),
        metrics=place.live.get("metrics", {}),
    )


def _links(job: Job) -> RunLinks:
    home = f"/training-runs/{job.id}"
    return RunLinks(
        self=home,
        events=f"{home}/events",
        metrics=f"{home}/metrics",
        samples=f"{home}/samples",
        tensorboard=f"{home}/tensorboard",
        model=None if job.model is None else f"/models/{job.model}",
        cancel=f"{home}/cancel" if job.status in ACTIVE else None,
        resume=f"{home}/resume" if job.status in RESUMABLE else None,
    )
