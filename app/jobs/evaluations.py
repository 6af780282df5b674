"""Evaluations: jobs whose items are steps, which any number of workers share, and a report at last.

What an attempt at a step writes has names of its own: only its result says that it counts. Results
of steps have

    seconds       all that the device was used for
    step_seconds  without what the worker needed to have the pairs at hand
    values        key of what was found, JSON
    pictures      for the report: the key of each PNG, by name
    environment   device and library versions

and that of the report has

    seconds, report, page  the last two are keys, of the JSON and of the HTML file
    summary                what the report itself has for one
"""

from collections.abc import Callable, Mapping
from datetime import datetime
from typing import Any, Literal, Unpack, get_args

from sqlalchemy import insert, select
from sqlalchemy.orm import Session

from app.clock import utc_now
from app.database import Database
from app.jobs.tables import Item, ItemKind, ItemState, Job, JobKind
from app.jobs.terms import Terms, new_job
from app.jobs.usage import record_usage
from app.storage import job_prefix

# The steps of models/evaluation/steps.py, which this room cannot import; a test compares them.
Part = Literal[
    "measures",
    "real",
    "augmented",
    "synthetic",
    "fine-tuned",
    "mixed",
    "mixed-augmented",
    "rendered",
]
Network = Literal["u-net", "attention"]  # likewise
PARTS: tuple[Part, ...] = get_args(Part)
MEASURES, ARMS = PARTS[0], PARTS[1:]

HUNDREDTHS = 100  # what the progress of a step is counted in


def step_names(request: Mapping[str, Any]) -> list[str]:
    """The steps of an evaluation, each of which is an item; the ordinals are the places here."""
    parts = request["only"]
    fits = (f"fit:{arm}:{seed}" for seed in range(request["seeds"]) for arm in ARMS if arm in parts)
    return [*([MEASURES] if MEASURES in parts else []), *fits]


def create_evaluation(
    db: Database,
    *,
    request: dict[str, Any],
    package_digest: str,
    pairs: int,
    check: Callable[[Session, datetime], None],
    **terms: Unpack[Terms],
) -> str:
    """Store an evaluation with its steps and its report; returns the job's id.

    ``request`` is complete: model, dataset, upload, resolution, pairs, seeds, steps, seed,
    copy_overlap, network, only, train and hold_out. ``package_digest`` is that of its model, "" where that is
    not at hand. ``pairs`` are those of the upload. ``check`` may refuse the evaluation by raising; it
    runs in the transaction that would store it.

    Raises:
        sqlalchemy.exc.IntegrityError: the owner has a job with this idempotency key.
    """
    now = terms.get("clock", utc_now)()
    job = new_job(
        JobKind.EVALUATION, request, now, terms, package_digest=package_digest, count=pairs
    )
    steps = [(ItemKind.STEP, ItemState.READY) for _ in step_names(request)]
    kinds = [*steps, (ItemKind.REPORT, ItemState.WAITING)]
    with db.write() as session:
        check(session, now)
        session.add(job)
        session.flush()
        session.execute(
            insert(Item),
            [
                {
                    "job_id": job.id,
                    "kind": kind,
                    "ordinal": ordinal,
                    "first": 0,
                    "count": HUNDREDTHS,
                    "state": state,
                }
                for ordinal, (kind, state) in enumerate(kinds)
            ],
        )
    return job.id


def step_results(session: Session, job_id: str) -> dict[str, dict[str, Any]]:
    """The result of each step that is done, by its name, in the order of the steps."""
    names = step_names(session.get_one(Job, job_id).request)
    done = (Item.kind == ItemKind.STEP, Item.state == ItemState.DONE)
    items = session.scalars(select(Item).where(Item.job_id == job_id, *done).order_by(Item.ordinal))
    return {names[item.ordinal]: item.result for item in items if item.result}


def report_result(session: Session, job_id: str) -> dict[str, Any] | None:
    """The result of the evaluation's report, once that is written."""
    done = (Item.kind == ItemKind.REPORT, Item.state == ItemState.DONE)
    return session.scalar(select(Item.result).where(Item.job_id == job_id, *done))


def step_prefix(job_id: str, ordinal: int, attempt: int) -> str:
    """What the keys of one attempt at one step, or at the report, begin with: no other writes there."""
    return f"{job_prefix(job_id)}steps/{ordinal:06d}-{attempt}/"


def record(session: Session, job: Job, item: Item, now: datetime) -> None:
    """What follows for the job from a step, or the report, that was just recorded."""
    assert item.result is not None
    record_usage(session, job.owner, now.date(), 0, item.result["seconds"])
    if item.kind == ItemKind.STEP:
        job.environment = job.environment or item.result["environment"]
