"""``fundusmith train``."""

import json
from pathlib import Path
from typing import Any

import click

from app.commands.following import end, follow
from app.commands.numbers import StageSetting
from app.commands.service import Service, service_command
from app.commands.status import describe
from app.commands.upload import pairs_of


@click.command()
@click.argument("source")
@click.option("--name", required=True, help="Of the model that comes of it, such as mine-256.")
@click.option("--minutes", type=float, help="Budget of each stage.")
@click.option("--images", type=int, help="Budget of each stage, in place of minutes.")
@click.option("--from", "start_from", metavar="MODEL", help="Go on from this model.")
@click.option("--stages", type=click.Choice(["both", "vessel", "photo"]), help="Both if not given.")
@click.option("--resolution", type=int, help="Side in pixels; 256 if not given.")
@click.option("--seed", type=int, help="Drawn if not given.")
@click.option(
    "--set",
    "settings",
    multiple=True,
    type=StageSetting(),
    help="A hyper-parameter, as in vessel.batch=16; can be given several times.",
)
@click.option(
    "--about",
    type=click.Path(exists=True, dir_okay=False, path_type=Path),
    help="JSON with name, licence, attribution and url of the pairs, for the model's card.",
)
@click.option("--detach", is_flag=True, help="Only start it, do not follow it.")
@service_command
def train(
    service: Service,
    source: str,
    name: str,
    minutes: float | None,
    images: int | None,
    start_from: str | None,
    settings: list[tuple[str, str, float]],
    about: Path | None,
    detach: bool,
    **options: Any,
) -> None:
    """Train a model on SOURCE: a folder or zip of pairs, or the id (up_...) of an upload."""
    if (minutes is None) == (images is None):
        raise click.UsageError("Give either --minutes or --images.")
    for stage, setting, number in settings:
        options.setdefault("settings", {}).setdefault(stage, {})[setting] = number
    if about is not None:
        options["data"] = _read(about)
    run = service.client.training_runs.start(
        pairs_of(service, source, "SOURCE"),
        name,
        minutes=minutes,
        images=images,
        start_from=start_from,
        **options,
    )
    if detach:
        hint = f"To follow it: [bold]fundusmith watch {run.id}[/bold]"
        service.tell(run.document, describe(run), hint)
        return
    service.err.print(f"{run.id} is ordered.")
    run = follow(service, run)
    service.tell(run.document, describe(run))
    end(service, run)


def _read(about: Path) -> Any:
    try:
        return json.loads(about.read_text())
    except ValueError as error:
        raise click.BadParameter(f"{about} is no JSON: {error}", param_hint="--about") from error
