"""Numbers and jobs in words and tables."""

from collections.abc import Iterable, Sequence
from datetime import datetime
from typing import Any

from rich.markup import escape
from rich.table import Table

from app.client import Dataset, Evaluation, Upload

UNITS = ("B", "KiB", "MiB", "GiB", "TiB")


def duration(seconds: float) -> str:
    """As in 45 s, 12 min, 3.5 h."""
    if seconds < 90:
        return f"{seconds:.0f} s"
    return f"{seconds / 60:.0f} min" if seconds < 5400 else f"{seconds / 3600:.1f} h"


def size(count: float) -> str:
    """Bytes as in 3.2 MiB."""
    for unit in UNITS:
        if count < 1024 or unit == UNITS[-1]:
            break
        count /= 1024
    return f"{count:.0f} {unit}" if unit == "B" else f"{count:.1f} {unit}"


def minute(time: datetime) -> str:
    """In the user's own time zone."""
    return time.astimezone().strftime("%Y-%m-%d %H:%M")


def step(name: str) -> str:
    """A step of an evaluation: ``fit:real:0`` is the first network that is trained on real pairs."""
    if name.startswith("fit:"):
        _, way, seed = name.split(":")
        return f"{way}, network {int(seed) + 1}"
    return name


def table(columns: Sequence[str], rows: Iterable[Sequence[Any]]) -> Table:
    """A plain table; numbers stand to the right."""
    rows = [list(row) for row in rows]
    shown = Table(*columns, box=None, padding=(0, 2, 0, 0), header_style="bold")
    if shown.columns:
        shown.columns[0].no_wrap = True  # ids are copied
    for column, cells in zip(shown.columns, zip(*rows, strict=True), strict=False):
        if all(isinstance(cell, int | float) for cell in cells):
            column.justify = "right"
    for row in rows:
        shown.add_row(
            *(escape(f"{cell:,}" if isinstance(cell, int) else str(cell)) for cell in row)
        )
    return shown


def facts(rows: Iterable[tuple[str, Any]]) -> Table:
    """Names and values, those that are None left out."""
    shown = Table(box=None, show_header=False, padding=(0, 2, 0, 0))
    for name, value in rows:
        if value is not None:
            shown.add_row(name, escape(str(value)))
    return shown


def progress_of(job: Any) -> str:
    """How far a job is, in the measure of its kind."""
    if isinstance(job, Dataset):
        return f"{job.progress.generated:,} of {job.progress.requested:,} pairs"
    if isinstance(job, Upload):
        if job.parts and job.parts.received is not None:
            return f"{job.parts.received:,} of {job.parts.count:,} parts have come"
        return "its bytes come" if job.receiving else f"{job.count:,} {job.request['kind']}"
    if isinstance(job, Evaluation):
        return f"{job.progress.done:,} of {job.progress.steps:,} steps"
    return ", ".join(f"{stage.stage} {stage.images:,} images" for stage in job.progress.stages)


def about(job: Any) -> str:
    """What was asked for, in a few words."""
    if isinstance(job, Dataset):
        return f"{job.request['model']}, {job.request['resolution']} px, seed {job.request['seed']}"
    if isinstance(job, Upload):
        return f"{job.request['kind']}, {size(job.request['bytes'] or 0)}"
    if isinstance(job, Evaluation):
        return f"{job.request['dataset'] or job.request['model']} beside {job.request['upload']}"
    return job.model or job.request["name"]
