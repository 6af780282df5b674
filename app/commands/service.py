"""What commands that call a service have in common: its address, --json, errors and exit codes."""

import json
from collections.abc import Callable
from functools import wraps
from typing import Any

import click
from rich.console import Console

from app.client import Client, ClientError, ServiceError, UnreachableError
from app.client.calls import DEFAULT_ADDRESS

REFUSED, USAGE, UNREACHABLE, STOPPED = 1, 2, 3, 130
WIDE = 200  # columns where there is no terminal: nothing is cut
START_IT = (
    "Start one with 'fundusmith up', or say where it is with --service or FUNDUSMITH_SERVICE."
)


class Service:
    """The service that a command calls, and how it tells what it got.

    ``out`` takes what the user asked for, ``err`` what goes on meanwhile.
    """

    def __init__(self, client: Client, as_json: bool) -> None:
        self.client = client
        self.as_json = as_json
        self.out = Console(highlight=False, soft_wrap=True)
        if not self.out.is_terminal:
            self.out.width = WIDE
        self.err = Console(stderr=True, highlight=False, soft_wrap=True, quiet=as_json)

    def tell(self, document: Any, *words: Any) -> None:
        """Print the document with --json, otherwise the words (whatever rich can print)."""
        if self.as_json:
            click.echo(json.dumps(document))
        else:
            for word in words:
                self.out.print(word)


def service_command(function: Callable[..., None]) -> Callable[..., None]:
    """A command that gets a :class:`Service` first, and has the options for it."""

    @click.option(
        "--service",
        "address",
        envvar="FUNDUSMITH_SERVICE",
        default=DEFAULT_ADDRESS,
        show_default=True,
        metavar="URL",
        help="Where the service is; FUNDUSMITH_API_KEY has the key for it, if it wants one.",
    )
    @click.option("--json", "as_json", is_flag=True, help="Print JSON, for programs.")
    @wraps(function)
    def command(address: str, as_json: bool, **arguments: Any) -> None:
        try:
            with Client(address) as client:
                function(Service(client, as_json), **arguments)
        except UnreachableError as error:
            _fail(as_json, UNREACHABLE, {"detail": str(error)}, f"{error} {START_IT}")
        except ServiceError as error:
            _fail(as_json, REFUSED, error.problem, _words(error))
        except ClientError as error:
            _fail(as_json, REFUSED, {"detail": str(error)}, str(error))

    return command


def _words(error: ServiceError) -> str:
    """The refusal in a line, or a line for each field if several are wrong."""
    if error.status == 401:
        return f"{error} Put a key into FUNDUSMITH_API_KEY."
    if len(error.faults) < 2:
        places = [fault.place.removeprefix("#/") for fault in error.faults if fault.place]
        missing = [place for place in places if place not in str(error)]
        return f"{missing[0]}: {error}" if missing else str(error)
    return "\n  ".join(
        ["", *(f"{fault.place.removeprefix('#/')}: {fault.detail}" for fault in error.faults)]
    )


def _fail(as_json: bool, code: int, document: dict[str, Any], words: str) -> None:
    if as_json:
        click.echo(json.dumps(document))
    click.echo(f"Error: {words}", err=True)
    raise click.exceptions.Exit(code)
