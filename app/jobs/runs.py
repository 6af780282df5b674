"""Training runs: jobs whose items are slices, one after another.

A slice goes on from where the newest recorded one has ended, and its completion adds the next. What
it writes has names of its attempt's own: only its result says that it counts. Results have

    images, seconds  trained on in this slice; all that the device was used for
    stages           for each stage that is trained: images and seconds that it has had by now, and
                     the key of its checkpoint, or None
    spent            whether every budget is: then the next slice makes the package
    settings         hyper-parameters of both stages, those that were not given filled in
    environment      device and library versions
    metrics          key of the slice's metrics, JSON lines, or None
    sheets           of samples: stage, images, key
    events           TensorBoard files: stage, key
    error            why the run cannot go on, or None
    package          key of the package that it made, or None: then the next slice registers it
    model            name@version that it registered, or None
"""

from collections.abc import Callable
from datetime import datetime
from typing import Any, Unpack

from sqlalchemy import func, select
from sqlalchemy.orm import Session

from app.clock import Clock, utc_now
from app.database import Database
from app.jobs.states import is_wanted, lock_job
from app.jobs.tables import Item, ItemKind, ItemState, Job, JobKind, JobStatus
from app.jobs.terms import Terms, new_job
from app.jobs.usage import record_usage
from app.observability.context import current_request_id
from app.observability.tracing import current_traceparent
from app.storage import job_prefix

Check = Callable[[Session, datetime], None]


def create_run(
    db: Database,
    *,
    request: dict[str, Any],
    package_digest: str,
    pairs: int,
    check: Check,
    **terms: Unpack[Terms],
) -> str:
    """Store a run and its first slice; returns the job's id.

    ``request`` is complete: upload, name, stages, resolution, budget, from, seed, settings, data.
    ``package_digest`` is that of the model it starts from, "" if from none. ``check`` may refuse the
    run by raising; it runs in the transaction that would store it.

    Raises:
        sqlalchemy.exc.IntegrityError: the owner has a job with this idempotency key.
    """
    now = terms.get("clock", utc_now)()
    job = new_job(JobKind.TRAINING, request, now, terms, package_digest=package_digest, count=pairs)
    with db.write() as session:
        check(session, now)
        session.add(job)
        session.flush()
        _add_slice(session, job.id, 0)
    return job.id


def resume_run(
    db: Database,
    job_id: str,
    budget: dict[str, Any],
    check: Check,
    clock: Clock = utc_now,
) -> bool:
    """Queue a cancelled or failed run again, to go on with this budget; others stay as they are.

    ``check`` as for :func:`create_run`. Returns whether it was queued.
    """
    with db.write() as session:
        job = lock_job(session, job_id)
        resumable = job.status in (JobStatus.CANCELLED, JobStatus.FAILED)
        if not resumable or job.deleted_at is not None:
            return False
        now = clock()
        check(session, now)
        last = session.scalar(select(func.max(Item.ordinal)).where(Item.job_id == job_id))
        job.request = {**job.request, "budget": budget}
        job.error = None
        job.request_id = current_request_id()
        job.traceparent = current_traceparent()
        job.expires_at = None
        job.enter(JobStatus.QUEUED, now)
        _add_slice(session, job_id, (-1 if last is None else last) + 1)
        return True


def slices(session: Session, job_id: str) -> list[dict[str, Any]]:
    """The results of the run's recorded slices, in order."""
    done = select(Item.result).where(Item.job_id == job_id, *_DONE)
    return [result for result in session.scalars(done.order_by(Item.ordinal)) if result]


def newest_slices(session: Session, job_ids: list[str]) -> dict[str, dict[str, Any]]:
    """The result of the newest recorded slice of each of these runs that has one."""
    newest = (
        select(Item.job_id, func.max(Item.ordinal).label("ordinal"))
        .where(Item.job_id.in_(job_ids), *_DONE)
        .group_by(Item.job_id)
        .subquery()
    )
    same = (Item.job_id == newest.c.job_id) & (Item.ordinal == newest.c.ordinal)
    rows = session.execute(select(Item.job_id, Item.result).join(newest, same))
    return {job_id: result for job_id, result in rows if result}


def used_keys(results: list[dict[str, Any]]) -> set[str]:
    """Every object that counts: of all these slices, but checkpoints and package of the last alone."""
    keys = {result["metrics"] for result in results}
    for result in results:
        keys |= {each["key"] for each in (*result["sheets"], *result["events"])}
    newest = results[-1]
    keys |= {stage["checkpoint"] for stage in newest["stages"].values()}
    keys.add(None if newest["model"] else newest["package"])
    return keys - {None}


def slices_prefix(job_id: str) -> str:
    """What the keys of all that slices write begin with."""
    return f"{job_prefix(job_id)}slices/"


def slice_prefix(job_id: str, ordinal: int, attempt: int) -> str:
    """What the keys of one attempt at one slice begin with: no other writes there."""
    return f"{slices_prefix(job_id)}{ordinal:06d}-{attempt}/"


def advance(session: Session, job: Job, item: Item, now: datetime) -> None:
    """What follows from a slice that was just recorded: the next one, or the end of the run."""
    result = item.result
    assert result is not None
    record_usage(session, job.owner, now.date(), 0, result["seconds"])
    job.environment = result["environment"]
    job.model = result["model"]
    if not is_wanted(job, item.kind):
        return
    if result["error"]:
        job.error = result["error"]
        job.enter(JobStatus.FAILED, now)
    elif result["model"]:
        job.enter(JobStatus.SUCCEEDED, now)
    else:
        if result["spent"] and job.status != JobStatus.PACKAGING:
            job.enter(JobStatus.PACKAGING, now)
        _add_slice(session, job.id, item.ordinal + 1)


_DONE = (Item.kind == ItemKind.SLICE, Item.state == ItemState.DONE)


def _add_slice(session: Session, job_id: str, ordinal: int) -> None:
    session.add(
        Item(
            job_id=job_id,
            kind=ItemKind.SLICE,
            ordinal=ordinal,
            first=0,
            count=0,
            state=ItemState.READY,
        )
    )
