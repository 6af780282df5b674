"""``fundusmith models``."""

from pathlib import Path
from typing import Any

import click
from rich.table import Table

from app.client import Model
from app.commands.following import transferring
from app.commands.service import Service, service_command
from app.commands.words import facts, table


@click.group()
def models() -> None:
    """The models that orders can name."""


@models.command("list")
@service_command
def show_all(service: Service) -> None:
    """List them."""
    found = service.client.models.list()
    rows = [
        (
            model.id,
            "default" if model.default else "",
            " ".join(map(str, model.resolutions)),
            " ".join(model.masks),
            model.licence,
            model.title,
        )
        for model in found
    ]
    service.tell(
        {"data": [model.document for model in found]},
        table(("model", "", "px", "masks", "licence", "title"), rows),
    )


@models.command()
@click.argument("model")
@service_command
def show(service: Service, model: str) -> None:
    """Show one: MODEL is name@version, or a name for its highest version."""
    _tell(service, service.client.models.get(model))


@models.command()
@click.argument("model")
@click.argument("others", nargs=-1, required=True)
@service_command
def compare(service: Service, model: str, others: tuple[str, ...]) -> None:
    """Show the figures of several models side by side. They compare only where they were measured alike."""
    found = service.client.models.compare(model, *others)
    columns = ("figure", *(each["id"] for each in found["models"]))
    rows = [(metric["name"], *map(_figure, metric["values"])) for metric in found["metrics"]]
    service.tell(found, table(columns, rows))


@models.command("import")
@click.argument("path", type=click.Path(exists=True, path_type=Path))
@service_command
def import_package(service: Service, path: Path) -> None:
    """Import a package, its folder or a zip."""
    with transferring(service, path.name) as on_bytes:
        model = service.client.models.import_package(path, on_bytes)
    _tell(service, model)


@models.command()
@click.argument("model")
@click.option(
    "--to",
    default=".",
    type=click.Path(path_type=Path),
    help="A folder, or the name of a file that ends in .zip.  [default: this folder]",
)
@service_command
def export(service: Service, model: str, to: Path) -> None:
    """Download a package as one zip, and check every file in it."""
    found = service.client.models.get(model)
    with transferring(service, found.id) as on_bytes:
        path = found.export(to, on_bytes)
    service.tell({"id": found.id, "file": str(path)}, str(path))


@models.command()
@click.argument("model")
@service_command
def default(service: Service, model: str) -> None:
    """Have your orders that name no model get this one."""
    _tell(service, service.client.models.get(model).make_default())


@models.command()
@click.argument("model")
@service_command
def delete(service: Service, model: str) -> None:
    """Remove one version of a model: name@version."""
    if "@" not in model:
        raise click.BadParameter("say which version: name@version", param_hint="MODEL")
    found = service.client.models.get(model)
    found.delete()
    service.tell({"id": found.id, "deleted": True}, f"{found.id} is deleted.")


def _figure(value: Any) -> str:
    if value is None:
        return "-"
    return f"{value:.4g}" if isinstance(value, float) else str(value)


def _tell(service: Service, model: Model) -> None:
    service.tell(model.document, _describe(model))


def _describe(model: Model) -> Table:
    trained = model.document["training_data"]
    return facts(
        [
            ("model", model.id + (", the default" if model.default else "")),
            ("title", model.title),
            ("resolutions", ", ".join(f"{side} px" for side in model.resolutions)),
            ("draws", ", ".join(channel.replace("_", " ") for channel in model.channels)),
            ("licence", model.licence),
            *(
                ("learned from", f"{each['name']} ({each['licence']})")
                for each in trained.get("data_sets") or [trained]
            ),
            ("digest", model.digest),
        ]
    )
