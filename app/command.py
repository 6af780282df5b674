"""The command line: ``fundusmith up``, ``fundusmith demo`` and ``fundusmith keys``."""

import logging
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime
from pathlib import Path

import click
import httpx
from pydantic import ValidationError
from tqdm import tqdm

from app.access.service import InvalidKeyError, create_key, list_keys, revoke_key
from app.access.tables import Scope
from app.client import Client, Job, ServiceError
from app.database import Database, open_database
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
            archives = client.download(job["id"], folder / "dataset.zip")
            (folder / "preview.png").write_bytes(client.preview(job["id"]))
    except (ServiceError, httpx.TransportError) as error:
        raise click.ClickException(f"The service did not do it: {error}") from error
    except StartError as error:
        raise click.ClickException(str(error)) from error
    click.echo(f"{', '.join(map(str, archives))}: {count} pairs")
    click.echo(f"{folder / 'preview.png'}: what they look like")


@main.group()
def keys() -> None:
    """API keys of the database that the settings name."""


@keys.command("create")
@click.option("--name", required=True, help="What the key is for.")
@click.option("--owner", help="Whose data sets it is for; the name if not given.")
@click.option(
    "--scope",
    "scopes",
    multiple=True,
    type=click.Choice([scope.value for scope in Scope]),
    default=(Scope.READ.value, Scope.WRITE.value),
    show_default=True,
    help="What the key may do; can be given several times.",
)
def create(name: str, owner: str | None, scopes: tuple[str, ...]) -> None:
    """Make a key and print it: the only time it can be seen."""
    with _database() as db:
        try:
            key = create_key(db, name, owner or name, [Scope(scope) for scope in scopes])
        except InvalidKeyError as error:
            raise click.ClickException(str(error)) from error
    click.echo("Keep this key, it is not shown again:", err=True)
    click.echo(key)


@keys.command("list")
def show_keys() -> None:
    """List the keys with their owners, scopes and last use."""
    with _database() as db:
        for key in list_keys(db):
            used = f"used {_minute(key.last_used_at)}" if key.last_used_at else "never used"
            state = f"revoked {_minute(key.revoked_at)}" if key.revoked_at else used
            scopes = ",".join(key.scopes)
            made = _minute(key.created_at)
            click.echo(f"{key.id}  {made}  {state}  {scopes}  {key.owner}  {key.name}")


@keys.command()
@click.argument("key_id")
def revoke(key_id: str) -> None:
    """Make the key KEY_ID useless at once; `keys list` has the ids."""
    with _database() as db:
        if not revoke_key(db, key_id):
            raise click.ClickException(f"There is no key {key_id!r}.")
    click.echo(f"{key_id} is revoked.")


@contextmanager
def _database() -> Iterator[Database]:
    """The settings' database, which may be new."""
    db = open_database(_settings())
    try:
        db.migrate()
        yield db
    finally:
        db.close()


def _minute(time: datetime) -> str:
    return time.strftime("%Y-%m-%dT%H:%MZ")


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
