"""``fundusmith watch``."""

import json

import click

from app.commands.following import end, follow
from app.commands.report import outcome
from app.commands.service import Service, service_command
from app.commands.status import describe, find_job


@click.command()
@click.argument("job_id", metavar="ID")
@service_command
def watch(service: Service, job_id: str) -> None:
    """Follow a data set, an upload, a training run or an evaluation to its end. Ctrl-C stops the watching only.

    With --json, a line is printed at each change: the whole job as it then is.
    """
    job = find_job(service, job_id)
    if service.as_json:
        job = follow(service, job, lambda now: click.echo(json.dumps(now.document)))
    else:
        job = follow(service, job)
        service.out.print(describe(job))
        for words in outcome(job):
            service.out.print(words)
    end(service, job)
