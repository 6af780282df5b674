"""``fundusmith cancel``, ``resume`` and ``delete``."""

import click

from app.client import TrainingRun, Upload
from app.commands.service import Service, service_command
from app.commands.status import describe, find_job


@click.command()
@click.argument("job_id", metavar="ID")
@service_command
def cancel(service: Service, job_id: str) -> None:
    """Stop a data set, a training run or an evaluation; of the first two, what is finished is kept."""
    job = find_job(service, job_id)
    if isinstance(job, Upload):
        raise click.BadParameter("uploads are not cancelled but deleted", param_hint="ID")
    job = job.cancel()
    service.tell(job.document, describe(job))


@click.command()
@click.argument("job_id", metavar="ID")
@click.option("--minutes", type=float, help="A larger budget for each stage.")
@click.option("--images", type=int, help="The same, of a run whose budget is in images.")
@service_command
def resume(service: Service, job_id: str, minutes: float | None, images: int | None) -> None:
    """Go on with a training run that was cancelled or has failed, from its last checkpoint."""
    run = find_job(service, job_id)
    if not isinstance(run, TrainingRun):
        raise click.BadParameter("only training runs (tr_...) are resumed", param_hint="ID")
    run = run.resume(minutes, images)
    service.tell(run.document, describe(run))


@click.command()
@click.argument("job_id", metavar="ID")
@service_command
def delete(service: Service, job_id: str) -> None:
    """Remove a data set, an upload, a training run or an evaluation; it is cancelled first."""
    find_job(service, job_id).delete()
    service.tell({"id": job_id, "deleted": True}, f"{job_id} is deleted.")
