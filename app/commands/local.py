"""Settings for the commands that run the service or use its database themselves."""

import click
from pydantic import ValidationError

from app.settings import Settings, get_settings


def read_settings() -> Settings:
    """The settings of the environment.

    Raises:
        click.ClickException: one of them is wrong; names it.
    """
    try:
        return get_settings()
    except ValidationError as error:
        lines = (
            f"FUNDUSMITH_{str(problem['loc'][0]).upper()}: {problem['msg']}"
            for problem in error.errors()
        )
        raise click.ClickException("\n".join(lines)) from error
