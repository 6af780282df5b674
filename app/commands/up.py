"""``fundusmith up``."""

import click

from app.commands.local import read_settings
from app.observability.logs import set_up_logging
from app.supervisor import READY_LINE, StartError, run_service


@click.command()
def up() -> None:
    """Run the service on this machine until Ctrl-C."""
    settings = read_settings()
    set_up_logging(settings)
    try:
        run_service(settings, lambda address: click.echo(f"\n{READY_LINE}{address}\n"))
    except StartError as error:
        raise click.ClickException(str(error)) from error
