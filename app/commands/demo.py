"""``fundusmith demo``."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import click

from app.client import Client, ClientError
from app.commands.following import showing
from app.commands.local import read_settings
from app.local_service import local_service
from app.settings import Settings
from app.supervisor import StartError


@click.command()
@click.option("--count", default=16, show_default=True, help="Pairs to order.")
@click.option(
    "--folder",
    default="demo",
    show_default=True,
    type=click.Path(file_okay=False, path_type=Path),
    help="Where to put the archive and the preview.",
)
def demo(count: int, folder: Path) -> None:
    """Order a few pairs and show how they come; start the service for it if none runs."""
    folder.mkdir(parents=True, exist_ok=True)
    try:
        with _running_service(read_settings()) as address, Client(address) as client:
            dataset = client.datasets.order(count)
            with showing(dataset) as show:
                dataset = dataset.wait(show)
            archives = dataset.download(folder / "dataset.zip")
            (folder / "preview.png").write_bytes(dataset.preview())
    except (ClientError, StartError) as error:
        raise click.ClickException(str(error)) from error
    click.echo(f"{', '.join(map(str, archives))}: {count} pairs")
    click.echo(f"{folder / 'preview.png'}: what they look like")


@contextmanager
def _running_service(settings: Settings) -> Iterator[str]:
    """The address of the service that runs, or of one that runs for as long as the block lasts."""
    address = f"http://{settings.host}:{settings.port}"
    with Client(address) as client:
        if settings.port and client.is_ready():
            yield address
            return
    click.echo("Starting the service ...")
    with local_service({}, settings.data_dir / "demo.log") as service:
        yield service.address
