"""The command line: ``fundusmith up`` and ``fundusmith demo``."""

import logging
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import click
import httpx
from pydantic import ValidationError
from tqdm import tqdm

from app.client import Client, Job, ServiceError
from app.local_service import local_service
from app.settings import Settings, get_settings
from app.supervisor import READY_LINE, StartError, run_service


@click.group()
def main() -> None:
    """Fundusmith makes labelled retinal data sets to order."""


@main.command()
def up() -> None:
    """Run the service on this machine until Ctrl-C."""
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(levelname)s %(message)s")
    logging.getLogger("httpx").setLevel(logging.WARNING)
    try:
        run_service(_settings(), lambda address: click.echo(f"\n{READY_LINE}{address}\n"))
    except StartError as error:
        raise click.ClickException(str(error)) from error


@main.command()
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
        with _running_service(_settings()) as address, Client(address) as client:
            job = _follow(client, client.order(count))
            if job["status"] != "succeeded":
                raise click.ClickException(f"The order {job['status']}: {job['error']}")
            client.download(job["id"], folder / "dataset.zip")
            (folder / "preview.png").write_bytes(client.preview(job["id"]))
    except (ServiceError, httpx.TransportError) as error:
        raise click.ClickException(f"The service did not do it: {error}") from error
    except StartError as error:
        raise click.ClickException(str(error)) from error
    click.echo(f"{folder / 'dataset.zip'}: {count} pairs")
    click.echo(f"{folder / 'preview.png'}: what they look like")


def _follow(client: Client, job: Job) -> Job:
    """Shows a progress bar until the job has ended."""
    request = job["request"]
    with tqdm(total=request["count"], unit="pair", desc=f"{request['model']}") as bar:

        def show(job: Job) -> None:
            bar.set_postfix_str(job["status"], refresh=False)
            bar.update(job["progress"]["generated"] - bar.n)
            bar.refresh()

        return client.wait(job["id"], show)


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


def _settings() -> Settings:
    try:
        return get_settings()
    except ValidationError as error:
        lines = (
            f"FUNDUSMITH_{str(problem['loc'][0]).upper()}: {problem['msg']}"
            for problem in error.errors()
        )
        raise click.ClickException("\n".join(lines)) from error


if __name__ == "__main__":
    main()
