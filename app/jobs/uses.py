"""Which uploads are needed by jobs that have not ended: they must not go."""

from sqlalchemy import ColumnElement, exists
from sqlalchemy.orm import aliased

from app.jobs.tables import ACTIVE, Job, JobKind, JobStatus


def in_use() -> ColumnElement[bool]:
    """Of an upload's row, whether a job that has not ended needs it."""
    job = aliased(Job)
    return exists().where(
        job.status.in_((*ACTIVE, JobStatus.CANCELLING)),
        job.kind == JobKind.DATASET,
        job.request["maps"]["upload"].as_string() == Job.id,
    )
