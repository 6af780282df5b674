"""``fundusmith upload``."""

from pathlib import Path

import click

from app.client import Upload
from app.client.steps import UploadOptions
from app.commands.following import end, follow, transferring
from app.commands.report import outcome, report_of
from app.commands.service import Service, service_command
from app.commands.status import describe


@click.command()
@click.argument("path", type=click.Path(exists=True, path_type=Path))
@click.option(
    "--kind",
    type=click.Choice(["pairs", "maps"]),
    default="pairs",
    show_default=True,
    help="Photographs with their vessel maps, or bare vessel maps.",
)
@click.option("--unlabelled", is_flag=True, help="Take photographs without a label, too.")
@click.option(
    "--vessel-value",
    "vessel_values",
    multiple=True,
    metavar="VALUE",
    help="A value in labels that is vessel: a number or #rrggbb; may be given again.",
)
@click.option("--ignore-value", metavar="VALUE", help="The value in labels of pixels to leave out.")
@service_command
def upload(
    service: Service,
    path: Path,
    kind: str,
    unlabelled: bool,
    vessel_values: tuple[str, ...],
    ignore_value: str | None,
) -> None:
    """Send a folder or a zip of your own, and show what the check says of each file."""
    options: UploadOptions = {}
    if unlabelled:
        options["unlabelled"] = True
    if vessel_values:
        options["vessel_values"] = [_value(text) for text in vessel_values]
    if ignore_value is not None:
        options["ignore_value"] = _value(ignore_value)
    checked = send(service, path, kind, options)
    service.tell(checked.document, describe(checked), *outcome(checked))
    end(service, checked)


def _value(text: str) -> int | str:
    return int(text) if text.isdigit() else text


def send(service: Service, path: Path, kind: str, options: UploadOptions | None = None) -> Upload:
    """Send it and wait for its check, with bars."""
    with transferring(service, path.name) as on_bytes:
        sent = service.client.uploads.create(path, kind, on_bytes, **(options or {}))  # type: ignore[arg-type]
    return follow(service, sent)


def pairs_of(service: Service, source: str, option: str) -> str:
    """The id of an upload of pairs: ``source`` itself, or what comes of the folder or zip it names.

    Raises:
        click.BadParameter: it is neither; names the ``option``.
    """
    path = Path(source)
    if not path.exists():
        if source.startswith("up_"):
            return source
        raise click.BadParameter(f"there is no {source}", param_hint=option)
    checked = send(service, path, "pairs")
    if checked.report and (checked.report.refused or checked.status != "succeeded"):
        service.err.print(report_of(checked.report))
    end(service, checked)
    return checked.id
