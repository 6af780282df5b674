"""``fundusmith keys``."""

from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime

import click

from app.access.service import InvalidKeyError, create_key, list_keys, revoke_key
from app.access.tables import Scope
from app.commands.local import read_settings
from app.database import Database, open_database
from app.schema import SchemaError


@click.group()
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
    db = open_database(read_settings())
    try:
        db.prepare()
        yield db
    except SchemaError as error:
        raise click.ClickException(str(error)) from error
    finally:
        db.close()


def _minute(time: datetime) -> str:
    return time.strftime("%Y-%m-%dT%H:%MZ")
