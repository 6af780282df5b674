"""``fundusmith download``."""

from pathlib import Path

import click

from app.client import Dataset
from app.commands.following import transferring
from app.commands.service import Service, service_command
from app.commands.status import find_job


@click.command()
@click.argument("job_id", metavar="ID")
@click.option(
    "--to",
    default=".",
    type=click.Path(path_type=Path),
    help="A folder, or the name of a file that ends in .zip.  [default: this folder]",
)
@click.option("--unpack", is_flag=True, help="Unpack it as well, into a folder beside the zip.")
@service_command
def download(service: Service, job_id: str, to: Path, unpack: bool) -> None:
    """Download a data set and check every file in it.

    Called again after an interruption it goes on where it was; what is there already is checked only.
    """
    dataset = find_job(service, job_id)
    if not isinstance(dataset, Dataset):
        raise click.BadParameter("only data sets (ds_...) are downloaded", param_hint="ID")
    paths = fetch_dataset(service, dataset, to, unpack)
    files = [str(path) for path in paths]
    service.tell({"id": dataset.id, "files": files}, *files)


def fetch_dataset(service: Service, dataset: Dataset, to: Path, unpack: bool = False) -> list[Path]:
    """Download it with a bar."""
    with transferring(service, dataset.id) as on_bytes:
        return dataset.download(to, on_bytes, unpack)
