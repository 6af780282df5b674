"""``fundusmith evaluate``."""

import json
from pathlib import Path
from typing import Any, get_args

import click

from app.client import Evaluation
from app.client.steps import Network, Part
from app.commands.following import end, follow
from app.commands.numbers import Which
from app.commands.report import outcome
from app.commands.service import Service, service_command
from app.commands.status import describe
from app.commands.upload import pairs_of


@click.command()
@click.argument("subject", metavar="MODEL_OR_DS")
@click.option(
    "--pairs",
    "source",
    required=True,
    metavar="PAIRS",
    help="Real pairs: a folder or a zip, or the id (up_...) of an upload.",
)
@click.option(
    "--train", type=Which(), help="Pairs to train on: those that the model knows, if not given."
)
@click.option("--hold-out", type=Which(), help="Pairs to test on: all others, if not given.")
@click.option("--count", type=int, help="Generated pairs; 200 if not given.")
@click.option("--seeds", type=int, help="Networks for each way of training; 3 if not given.")
@click.option("--steps", type=int, help="Training steps of each; 400 if not given.")
@click.option("--seed", type=int, help="Drawn if not given.")
@click.option("--copy-overlap", type=float, help="From which on a map is a copy; 0.9.")
@click.option(
    "--network", type=click.Choice(get_args(Network)), help="That is trained; u-net if not given."
)
@click.option(
    "--only",
    multiple=True,
    type=click.Choice(get_args(Part)),
    help="A part of the evaluation; can be given several times.",
)
@click.option(
    "--out",
    type=click.Path(file_okay=False, path_type=Path),
    help="Write report.json and report.html into this folder.",
)
@click.option("--detach", is_flag=True, help="Only order it, do not follow it.")
@service_command
def evaluate(
    service: Service,
    subject: str,
    source: str,
    count: int | None,
    only: tuple[Part, ...],
    out: Path | None,
    detach: bool,
    **options: Any,
) -> None:
    """Hold a model, or a data set (ds_...), against real pairs: is it real, useful, private?"""
    if detach and out is not None:
        raise click.UsageError("--out waits for the report: leave out --detach.")
    which = "dataset" if subject.startswith("ds_") else "model"
    evaluation = service.client.evaluations.order(
        pairs_of(service, source, "--pairs"),
        **{which: subject, "pairs": count, "only": only or None},  # type: ignore[arg-type]
        **options,
    )
    if detach:
        hint = f"To follow it: [bold]fundusmith watch {evaluation.id}[/bold]"
        service.tell(evaluation.document, describe(evaluation), hint)
        return
    service.err.print(f"{evaluation.id} is ordered.")
    evaluation = follow(service, evaluation)
    more = {}
    if out is not None and evaluation.status == "succeeded":
        more["files"] = [str(path) for path in _save(evaluation, out)]
    words = (describe(evaluation), *outcome(evaluation), *more.get("files", ()))
    service.tell(evaluation.document | more, *words)
    end(service, evaluation)


def _save(evaluation: Evaluation, folder: Path) -> list[Path]:
    folder.mkdir(parents=True, exist_ok=True)
    report = folder / "report.json"
    report.write_text(json.dumps(evaluation.report(), indent=1))
    return [report, evaluation.save_page(folder / "report.html")]
