"""Who waits for the workers that train, and for how long: training runs and evaluations."""

from sqlalchemy import select
from sqlalchemy.orm import Session

from app.evaluations.progress import Standing, find_standings
from app.jobs.schemas import QueueEstimate
from app.jobs.tables import ACTIVE, Job, JobKind, JobStatus
from app.training.progress import Place, find_places

NO_ESTIMATE = QueueEstimate(seconds_left=None, queue_position=None)


def estimate_queue(session: Session) -> dict[str, QueueEstimate]:
    """The estimate of every unfinished run and evaluation.

    They are worked on in the order in which they were queued. One that nobody works on waits for
    those before it, which all workers share.
    """
    kinds = (JobKind.TRAINING, JobKind.EVALUATION)
    unfinished = select(Job).where(Job.kind.in_(kinds), Job.status.in_(ACTIVE))
    jobs = session.scalars(unfinished.order_by(Job.queued_at, Job.id)).all()
    runs = find_places(session, [job.id for job in jobs if job.kind == JobKind.TRAINING])
    evaluations = find_standings(session, [job for job in jobs if job.kind == JobKind.EVALUATION])
    standing: dict[str, Place | Standing] = {**runs, **evaluations}
    workers = max(1, sum(each.workers for each in standing.values()))
    estimates = {}
    ahead: float | None = 0.0
    queued = 0
    for job in jobs:
        own = standing[job.id].workers
        left = standing[job.id].seconds_left(job)
        if own:
            seconds = None if left is None else left / own
        else:
            seconds = None if left is None or ahead is None else ahead / workers + left
        ahead = None if left is None or ahead is None else ahead + left
        waits = job.status == JobStatus.QUEUED
        queued += waits
        estimates[job.id] = QueueEstimate(
            seconds_left=None if seconds is None else round(seconds, 1),
            queue_position=queued if waits else None,
        )
    return estimates
