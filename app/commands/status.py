"""``fundusmith status``."""

from typing import Any

import click
from rich.table import Table

from app.client import Dataset, Evaluation, Upload
from app.commands.following import stage_progress
from app.commands.report import outcome
from app.commands.service import Service, service_command
from app.commands.words import about, duration, facts, minute, progress_of, size, step, table


@click.command()
@click.argument("job_id", metavar="[ID]", required=False)
@click.option("--state", metavar="STATE", help="In a list: only those, such as running.")
@click.option("--limit", default=20, show_default=True, help="In a list: the newest so many.")
@service_command
def status(service: Service, job_id: str | None, state: str | None, limit: int) -> None:
    """Show a data set, an upload, a training run or an evaluation; without ID, the newest of all."""
    if job_id is not None:
        job = find_job(service, job_id)
        words: list[Any] = [describe(job)]
        words += outcome(job)
        service.tell(job.document, *words)
        return
    client = service.client
    kinds = (client.datasets, client.uploads, client.training_runs, client.evaluations)
    found = [job for kind in kinds for job in kind.list(state, limit)]
    jobs = sorted(found, key=lambda job: job.created_at, reverse=True)[:limit]
    rows = [
        (job.id, job.status, progress_of(job), about(job), minute(job.created_at)) for job in jobs
    ]
    service.tell(
        {"data": [job.document for job in jobs]},
        table(("id", "status", "progress", "what", "ordered"), rows)
        if rows
        else "Nothing is there yet. Order something: fundusmith order 16 --wait",
    )


def find_job(service: Service, job_id: str) -> Any:
    """The job of that id; an id that can be none is wrong usage."""
    try:
        return service.client.job(job_id)
    except ValueError as error:
        raise click.BadParameter(str(error), param_hint="ID") from error


def describe(job: Any) -> Table:
    """Everything about a job that a user looks for first."""
    rows = [("id", job.id), ("status", job.status), ("what", about(job))]
    if isinstance(job, Dataset):
        rows.append(("progress", progress_of(job)))
        rows.append(("size", job.archive and size(job.archive.bytes)))
    elif isinstance(job, Upload):
        rows.append(("progress" if job.receiving else "good", progress_of(job)))
    elif isinstance(job, Evaluation):
        rows.append(("progress", progress_of(job)))
        rows += [("in hand", f"{step(now.step)}, {now.share:.0%}") for now in job.progress.current]
    else:
        for stage in job.progress.stages:
            rows.append((stage.stage, stage_progress(stage.images, stage.minutes, stage)[1]))
        if metrics := job.progress.metrics:
            rows.append(("metrics", ", ".join(f"{k} {v:.3g}" for k, v in metrics.items())))
        rows.append(("model", job.model))
    if not isinstance(job, Upload):
        left, place = job.estimate.seconds_left, job.estimate.queue_position
        rows.append(("time left", None if left is None else duration(left)))
        rows.append(("place in queue", place))
    rows.append(("error", job.error and f"{job.error.code}: {job.error.detail}"))
    rows.append(("ordered", minute(job.created_at)))
    rows.append(("kept until", job.expires_at and minute(job.expires_at)))
    return facts(rows)
