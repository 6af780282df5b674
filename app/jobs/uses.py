"""Which uploads and data sets are needed by jobs that have not ended: they must not go."""

from sqlalchemy import ColumnElement, exists
from sqlalchemy.orm import aliased

from app.jobs.tables import ACTIVE, Job, JobKind, JobStatus


def in_use() -> ColumnElement[bool]:
    """Of an upload's or a data set's row, whether a job that has not ended needs it."""
    job = aliased(Job)
    maps_of_order = (job.kind == JobKind.DATASET) & (
        job.request["maps"]["upload"].as_string() == Job.id
    )
    avoided_by_order = (job.kind == JobKind.DATASET) & (
        job.request["not_like"]["upload"].as_string() == Job.id
    )
    pairs_of_job = job.kind.in_((JobKind.TRAINING, JobKind.EVALUATION)) & (
        job.request["upload"].as_string() == Job.id
    )
    evaluated = (job.kind == JobKind.EVALUATION) & (job.request["dataset"].as_string() == Job.id)
    unfinished = job.status.in_((*ACTIVE, JobStatus.CANCELLING))
    return exists().where(unfinished, maps_of_order | avoided_by_order | pairs_of_job | evaluated)
