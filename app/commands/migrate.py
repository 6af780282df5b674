"""``fundusmith migrate``."""

import click
from sqlalchemy.exc import OperationalError

from app.commands.local import read_settings
from app.database import open_database
from app.schema import SchemaError


@click.command()
def migrate() -> None:
    """Bring the database's schema up to date.

    To be run before the processes of a new version start. It may run while those of the version before
    work, and several times at once.
    """
    db = open_database(read_settings())
    try:
        done = db.migrate()
    except SchemaError as error:
        raise click.ClickException(str(error)) from error
    except OperationalError as error:
        raise click.ClickException(f"The database cannot be used: {error.orig}") from error
    finally:
        db.close()
    for revision, title in done.steps:
        click.echo(f"{revision}  {title}")
    click.echo(f"The schema is at {done.revision}{' now' if done.steps else ' already'}.")
