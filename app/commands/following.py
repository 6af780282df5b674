"""Following jobs and files in the terminal: bars on standard error while something goes on."""

from collections import deque
from collections.abc import Callable, Iterator
from contextlib import contextmanager, nullcontext
from typing import Any

import click
from rich.console import Console, Group
from rich.live import Live
from rich.progress import (
    BarColumn,
    DownloadColumn,
    MofNCompleteColumn,
    Progress,
    SpinnerColumn,
    TextColumn,
    TimeRemainingColumn,
    TransferSpeedColumn,
)
from rich.table import Table

from app.client import Dataset, Evaluation, TrainingRun, UnreachableError, Upload
from app.client.answers import EvaluationAnswer, RunAnswer
from app.client.steps import OnBytes
from app.commands.service import REFUSED, STOPPED, Service
from app.commands.words import duration, step

LINES = 5  # of metrics
Show = Callable[[Any], None]


def follow(service: Service, job: Any, tell: Show | None = None) -> Any:
    """The job when it has ended, however it ended. Ctrl-C stops the following, not the job.

    It is shown in bars, or whatever ``tell`` does with each change.
    """
    try:
        with showing(job, service.err) if tell is None else nullcontext(tell) as show:
            return job.wait(show, check=False)
    except (KeyboardInterrupt, UnreachableError) as error:
        click.echo(f"\n{job.id} goes on. To see how: fundusmith watch {job.id}", err=True)
        if isinstance(error, UnreachableError):
            raise
        raise click.exceptions.Exit(STOPPED) from None


def end(service: Service, job: Any) -> None:
    """Say why the job has not succeeded, if so, and exit with 1."""
    if job.status != "succeeded":
        reason = f": {job.error.detail}" if job.error else ""
        service.err.print(f"{job.id} has ended as {job.status}{reason}", markup=False)
        raise click.exceptions.Exit(REFUSED)


def showing(job: Any, console: Console | None = None) -> Any:
    """A block that shows, while it lasts, each state of the job that the function it gives is told."""
    console = console or Console(stderr=True)
    if isinstance(job, Dataset):
        return _showing_dataset(job, console)
    if isinstance(job, TrainingRun):
        return _showing_run(job, console)
    if isinstance(job, Evaluation):
        return _showing_evaluation(job, console)
    return _showing_check(job, console)


@contextmanager
def _showing_dataset(dataset: Dataset, console: Console) -> Iterator[Show]:
    with Progress(
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        TextColumn("pairs  {task.fields[more]}", markup=False),
        console=console,
    ) as bars:
        bar = bars.add_task(dataset.request["model"], total=dataset.progress.requested, more="")

        def show(now: Dataset) -> None:
            bars.update(bar, completed=now.progress.generated, more=_state(now))

        yield show


@contextmanager
def _showing_run(run: TrainingRun, console: Console) -> Iterator[Show]:
    bars = Progress(
        TextColumn("{task.description:7}"),
        BarColumn(),
        TextColumn("{task.fields[done]}", markup=False),
        console=console,
    )
    tasks = {
        stage.stage: bars.add_task(stage.stage, total=1.0, done="") for stage in run.progress.stages
    }
    lines: deque[tuple[str, int, dict[str, float]]] = deque(maxlen=LINES)
    with Live(bars, console=console, refresh_per_second=4) as live:

        def show(now: TrainingRun) -> None:
            for stage in now.progress.stages:
                share, done = stage_progress(stage.images, stage.minutes, stage)
                bars.update(tasks[stage.stage], completed=share, done=done)
                newest = now.progress.metrics if stage.stage == now.progress.stage else {}
                if newest and (not lines or lines[-1][2] != newest):
                    lines.append((stage.stage, stage.images, newest))
            live.update(Group(bars, f"  {_state(now)}", _metrics(lines)))

        show(run)
        yield show


def stage_progress(images: int, minutes: float, stage: Any) -> tuple[float, str]:
    """The share of its budget that a stage of a run has had, and the same in words."""
    if stage.of_images is not None:
        return images / stage.of_images, f"{images:,} of {stage.of_images:,} images"
    return (
        minutes / stage.of_minutes,
        f"{minutes:.1f} of {stage.of_minutes:g} min, {images:,} images",
    )


def _metrics(lines: deque[tuple[str, int, dict[str, float]]]) -> Table:
    """The last lines; a column for each value that the newest has."""
    table = Table(box=None, padding=(0, 1))
    if lines:
        stage, _, newest = lines[-1]
        table.add_column("images", justify="right")
        for name in newest:
            table.add_column(name, justify="right", overflow="fold")
        for of, images, values in lines:
            if of == stage:
                table.add_row(f"{images:,}", *(f"{values.get(name, 0):.3g}" for name in newest))
    return table


@contextmanager
def _showing_check(upload: Upload, console: Console) -> Iterator[Show]:
    with Progress(SpinnerColumn(), TextColumn("{task.description}"), console=console) as bars:
        bar = bars.add_task(f"{upload.id} is being checked", total=None)

        def show(now: Upload) -> None:
            bars.update(bar, description=f"{now.id} is {now.status}")

        yield show


@contextmanager
def _showing_evaluation(evaluation: Evaluation, console: Console) -> Iterator[Show]:
    with Progress(
        TextColumn("{task.description}"),
        BarColumn(),
        TextColumn("{task.fields[more]}", markup=False),
        console=console,
    ) as bars:
        bar = bars.add_task("steps", total=evaluation.progress.steps, more="")

        def show(now: Evaluation) -> None:
            progress = now.progress
            done = progress.done + sum(each.share for each in progress.current)
            words = [f"{progress.done} of {progress.steps}", _state(now)]
            words += [f"{step(each.step)} {each.share:.0%}" for each in progress.current]
            bars.update(bar, completed=done, more="  ".join(words))

        yield show


def _state(job: Dataset | RunAnswer | EvaluationAnswer) -> str:
    """How it stands, in a few words: state, place in the queue, pace, time left."""
    words = [job.status]
    if job.estimate.queue_position is not None:
        words.append(f"place {job.estimate.queue_position} in the queue")
    if isinstance(job, RunAnswer) and job.progress.images_per_second:
        words.append(f"{job.progress.images_per_second:.1f} images/s")
    if job.estimate.seconds_left is not None:
        words.append(f"{duration(job.estimate.seconds_left)} left")
    return ", ".join(words)


@contextmanager
def transferring(service: Service, name: str) -> Iterator[OnBytes]:
    """A block that shows how far a file is that comes or goes."""
    with Progress(
        TextColumn("{task.description}"),
        BarColumn(),
        DownloadColumn(binary_units=True),
        TransferSpeedColumn(),
        TimeRemainingColumn(),
        console=service.err,
    ) as bars:
        bar = bars.add_task(name, total=None)
        yield lambda done, total: bars.update(bar, completed=done, total=total)
