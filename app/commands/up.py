"""``fundusmith up``."""

import logging

import click

from app.commands.local import read_settings
from app.supervisor import READY_LINE, StartError, run_service


@click.command()
def up() -> None:
    """Run the service on this machine until Ctrl-C."""
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(levelname)s %(message)s")
    logging.getLogger("httpx").setLevel(logging.WARNING)
    try:
        run_service(read_settings(), lambda address: click.echo(f"\n{READY_LINE}{address}\n"))
    except StartError as error:
        raise click.ClickException(str(error)) from error
