"""How a training run is shown to its user."""

from collections.abc import Mapping, Sequence
from typing import Any

from sqlalchemy import select
from sqlalchemy.orm import Session

from app.jobs.runs import newest_slices
from app.jobs.schemas import JobError, Timestamps
from app.jobs.tables import ACTIVE, ENDED, Item, ItemState, Job, JobKind, JobStatus
from app.training.schemas import (
    RunEstimate,
    RunLinks,
    RunProgress,
    Stage,
    StageProgress,
    TrainingRequest,
    TrainingRun,
)

RESUMABLE = (JobStatus.CANCELLED, JobStatus.FAILED)
NO_ESTIMATE = RunEstimate(seconds_left=None, queue_position=None)


def show(session: Session, jobs: Sequence[Job]) -> list[TrainingRun]:
    """The runs with their progress and estimates."""
    places = _places(session, [job.id for job in jobs])
    unfinished = any(job.status in ACTIVE for job in jobs)
    estimates = _queue(session) if unfinished else {}
    return [
        TrainingRun(
            id=job.id,
            kind="training",
            status=JobStatus(job.status),
            request=TrainingRequest(**job.request),
            pairs=job.count,
            progress=places[job.id].progress(job),
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


def retry_after(run: TrainingRun) -> int | None:
    """Seconds after which a look at an unfinished run is worth while: more for long ones."""
    if run.status in ENDED:
        return None
    return max(1, min(10, round((run.estimate.seconds_left or 0) / 60)))


class _Place:
    """Where a run stands: its newest recorded slice, and what the slice in hand tells."""

    def __init__(self, newest: Mapping[str, Any], leased: Item | None) -> None:
        self.newest = newest
        self.slice = None if leased is None else leased.ordinal
        self.live: Mapping[str, Any] = (leased and leased.live) or {}

    def spent(self, stage: str) -> tuple[int, float]:
        """Images and seconds that the stage has had."""
        now = self.live if self.live.get("stage") == stage else None
        now = now or self.newest.get("stages", {}).get(stage, {"images": 0, "seconds": 0.0})
        return now["images"], now["seconds"]

    def progress(self, job: Job) -> RunProgress:
        budget = job.request["budget"]
        return RunProgress(
            slice=self.slice,
            stage=self.live.get("stage"),
            stages=[
                StageProgress(
                    stage=stage,
                    images=self.spent(stage)[0],
                    minutes=round(self.spent(stage)[1] / 60, 2),
                    of_images=budget.get("images"),
                    of_minutes=budget.get("minutes"),
                )
                for stage in stages_of(job)
            ],
            images_per_second=self.live.get("images_per_second"),
            seconds_left=self.live.get("seconds_left"),
            metrics=self.live.get("metrics", {}),
        )

    def seconds_left(self, job: Job) -> float | None:
        """Of training; None while the pace of a stage is not known."""
        budget, total = job.request["budget"], 0.0
        for stage in stages_of(job):
            images, seconds = self.spent(stage)
            if "minutes" in budget:
                total += max(0.0, budget["minutes"] * 60 - seconds)
            elif images:
                total += max(0, budget["images"] - images) * seconds / images
            else:
                return None
        return total


def stages_of(job: Job) -> tuple[Stage, ...]:
    """The stages that the run trains, in order."""
    stages = job.request["stages"]
    return ("vessel", "photo") if stages == "both" else (stages,)


def _places(session: Session, job_ids: list[str]) -> dict[str, _Place]:
    newest = newest_slices(session, job_ids)
    of_jobs = select(Item).where(Item.job_id.in_(job_ids), Item.state == ItemState.LEASED)
    leased = {item.job_id: item for item in session.scalars(of_jobs)}
    return {job_id: _Place(newest.get(job_id, {}), leased.get(job_id)) for job_id in job_ids}


def _queue(session: Session) -> dict[str, RunEstimate]:
    """The estimate of every unfinished run, in the order in which they are worked on.

    A run that nobody works on waits for those before it, which all workers share.
    """
    unfinished = select(Job).where(Job.kind == JobKind.TRAINING, Job.status.in_(ACTIVE))
    jobs = session.scalars(unfinished.order_by(Job.queued_at, Job.id)).all()
    places = _places(session, [job.id for job in jobs])
    workers = max(1, sum(place.slice is not None for place in places.values()))
    estimates = {}
    ahead: float | None = 0.0
    queued = 0
    for job in jobs:
        place = places[job.id]
        left = seconds = place.seconds_left(job)
        if place.slice is None:
            seconds = None if left is None or ahead is None else ahead / workers + left
        ahead = None if left is None or ahead is None else ahead + left
        waits = job.status == JobStatus.QUEUED
        queued += waits
        estimates[job.id] = RunEstimate(
            seconds_left=None if seconds is None else round(seconds, 1),
            queue_position=queued if waits else None,
        )
    return estimates


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
