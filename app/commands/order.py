"""``fundusmith order``."""

from pathlib import Path
from typing import Any

import click

from app.commands.download import fetch_dataset
from app.commands.following import end, follow
from app.commands.numbers import Avoided, NamedNumbers, Names
from app.commands.service import Service, service_command
from app.commands.status import describe
from app.commands.words import duration, facts, size


@click.command()
@click.argument("count", type=int)
@click.option("--model", help="name@version, or a name for its highest version.")
@click.option("--resolution", type=int, help="Side in pixels, one that the model lists.")
@click.option("--seed", type=int, help="The same order with the same seed is the same data set.")
@click.option("--splits", type=NamedNumbers(), help="Shares, as in train=0.8,val=0.1,test=0.1.")
@click.option(
    "--layout",
    type=click.Choice(["imagefolder", "drive", "webdataset"]),
    help="Names of folders and files.",
)
@click.option(
    "--image-format", type=click.Choice(["png", "jpeg", "tiff"]), help="Of the photographs."
)
@click.option("--volume-pairs", type=int, help="Most pairs in one zip.")
@click.option("--style-seed", type=int, help="One style for all photographs.")
@click.option("--eye", type=click.Choice(["left", "right"]), help="That eye only.")
@click.option("--vessel-share", type=NamedNumbers(), help="Only such maps: min=0.08,max=0.12.")
@click.option("--minimum-quality", type=NamedNumbers(), help="contrast=4,connected=0.5.")
@click.option("--not-like", type=Avoided(), help="No copies of this upload's maps; overlap 0.9.")
@click.option(
    "--lesions",
    type=click.Choice(["none", "mixed", "all"]),
    help="In no photograph, as often as in the training photographs, in all.",
)
@click.option("--masks", type=Names(), help="More masks in the zip: disc,lesions.")
@click.option("--maps", metavar="UP_ID", help="Photograph the maps of this upload.")
@click.option("--deadline", metavar="TIME", help="Cancel it then, as in 2026-12-01T18:00:00Z.")
@click.option("--webhook", metavar="URL", help="Is told of the end.")
@click.option("--dry-run", is_flag=True, help="Only say what it would cost.")
@click.option("--wait", is_flag=True, help="Follow it to its end.")
@click.option(
    "--download",
    "folder",
    type=click.Path(path_type=Path),
    help="Follow it, then download it to this folder or .zip file.",
)
@service_command
def order(
    service: Service,
    count: int,
    dry_run: bool,
    wait: bool,
    folder: Path | None,
    webhook: str | None,
    **options: Any,
) -> None:
    """Order COUNT pairs of photograph and vessel map."""
    if webhook is not None:
        options["webhook"] = {"url": webhook}
    if dry_run:
        quote = service.client.datasets.quote(count, **options)
        rows = [
            ("model", quote.request["model"]),
            ("resolution", f"{quote.request['resolution']} px"),
            ("takes", f"{duration(quote.seconds)} of one worker"),
            ("size", size(quote.bytes)),
        ]
        service.tell(quote.document, facts(rows))
        return
    dataset = service.client.datasets.order(count, **options)
    if not wait and folder is None:
        hint = f"To follow it: [bold]fundusmith watch {dataset.id}[/bold]"
        service.tell(dataset.document, describe(dataset), hint)
        return
    service.err.print(f"{dataset.id} is ordered.")
    dataset = follow(service, dataset)
    more = {}
    if folder is not None and dataset.archive is not None:
        more["files"] = [str(path) for path in fetch_dataset(service, dataset, folder)]
    service.tell(dataset.document | more, describe(dataset), *more.get("files", ()))
    end(service, dataset)
