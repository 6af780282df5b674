"""``python -m models.training``: train both stages on a folder of pairs and write a model package."""

from __future__ import annotations

import argparse
import json
import os
import sys
import threading
from contextlib import ExitStack
from pathlib import Path
from typing import Any, get_args

import torch
from tqdm import tqdm

from models.data.labels import add_label_arguments, label_options
from models.devices import Device, keep_freed_memory
from models.package import Eye, load_package
from models.pairs import PairError, find_pairs, load_pairs
from models.signals import stop_on_signals
from models.training.checkpoint import CheckpointError
from models.training.divergence import Diverged
from models.training.events import Events
from models.training.journal import Journal
from models.training.loop import Progress, Recorder, Stopped, checkpoint_path, train
from models.training.packaging import Identity, package_run
from models.training.run import Run
from models.training.settings import SettingsError, StageOneSettings, StageTwoSettings
from models.training.stages import make_stages
from models.training.team import Team


def parser() -> argparse.ArgumentParser:
    """The command's options."""
    options = argparse.ArgumentParser(
        prog="python -m models.training",
        description=__doc__,
        epilog=explain_settings(),
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    add = options.add_argument
    add(
        "--pairs",
        type=Path,
        required=True,
        help="folder with images/ and labels/ (masks/ optional)",
    )
    add("--from-package", type=Path, metavar="FOLDER", help="a model package to start from")
    add(
        "--from-run",
        type=Path,
        metavar="FOLDER",
        help="the run that this package was made of: its discriminators and style encoder are taken "
        "over as well",
    )
    add(
        "--enlarge",
        action="store_true",
        help="only learn to enlarge what the package draws, to a larger --resolution",
    )
    add(
        "--trace",
        action="store_true",
        help="only learn to trace the vessels of what the package draws (stage photo)",
    )
    add("--first", type=int, help="train on the first N pairs in name order (all)")
    add_label_arguments(options)
    add("--run", type=Path, required=True, help="folder for checkpoints, curves and sample sheets")
    add("--stage", choices=["vessel", "photo", "both"], default="both")
    add("--resolution", type=int, default=256, help="side in pixels, a power of two (256)")
    add("--minutes", type=float, help="budget for each stage in minutes of training")
    add("--images", type=int, help="budget for each stage in images, instead of minutes")
    add("--device", default="auto", help="auto, cpu, cuda, cuda:1 ... (auto)")
    add("--threads", type=int, help="CPU threads (all)")
    add("--seed", type=int, default=0)
    add(
        "--set",
        action="append",
        default=[],
        metavar="STAGE.NAME=VALUE",
        help="a hyper-parameter, one of those below; may be given again and again",
    )
    add(
        "--tensorboard", action="store_true", help="event files for TensorBoard, in RUN/tensorboard"
    )
    add(
        "--package",
        type=Path,
        help="write a model package to this folder when both stages are done",
    )
    add("--name", help="name of the package (the folder's name)")
    add("--version", default="1.0.0", help="version of the package (1.0.0)")
    add(
        "--about",
        type=Path,
        help="JSON with name, licence, attribution and url of the training data; eye (left or right) "
        "if it is known which one the maps of vessel-last.png show",
    )
    return options


def main(arguments: list[str] | None = None) -> None:
    """Run the command; exits with 1 and one line on bad input, 3 if stopped before the end."""
    options = parser().parse_args(arguments)
    try:
        finished = run_stages(options)
    except (PairError, CheckpointError, Diverged, ValueError) as error:
        sys.exit(f"error: {error}")
    if not finished:
        print("stopped and saved: the same command goes on from here", file=sys.stderr)
        sys.exit(3)


def run_stages(options: argparse.Namespace) -> bool:
    """Train the stages asked for; whether all their budgets are spent."""
    about, eye = read_about(options.about)  # a bad file is told before the training, not after
    keep_freed_memory()
    if options.threads:
        torch.set_num_threads(options.threads)
    package = load_package(options.from_package) if options.from_package else None
    device = Device.choose(own_device(options.device))
    team = Team.join(device.name)
    files = find_pairs(options.pairs, options.first)
    pairs = load_pairs(files, 2 * options.resolution, label_options(options))
    options.run.mkdir(parents=True, exist_ok=True)

    one, two = make_stages(
        pairs,
        options.resolution,
        device,
        minutes=options.minutes,
        images=options.images,
        seed=options.seed,
        settings=read_settings(options.set),
        package=package,
        team=team,
    )
    runs: list[Run] = [run for run in (one, two) if options.stage in (run.stage, "both")]
    if options.from_run:
        if not options.from_package:
            raise ValueError("--from-run: needs --from-package, the package made of that run")
        for run in runs:
            run.judge_as(checkpoint_path(options.from_run, run.stage))
    if options.enlarge:
        if not options.from_package:
            raise ValueError("--enlarge: needs --from-package, the package that draws")
        for run in runs:
            run.only_enlarge()
    if options.trace:
        if not options.from_package or options.stage != "photo":
            raise ValueError(
                "--trace: needs --stage photo and --from-package, the package that draws"
            )
        two.only_trace()
    with stop_on_signals() as stopped:
        if not all(_train_watched(run, options, stopped) for run in runs):
            return False
    team.leave()
    if options.package and team.rank == 0:
        for run in {one, two} - set(runs):
            checkpoint = checkpoint_path(options.run, run.stage)
            if checkpoint.exists() or not run.complete:
                run.load(checkpoint)
        name = options.name or options.package.name
        identity = Identity(name, options.version, about, eye)
        package_run(one, two, pairs, identity, options.package)
    return True


def own_device(wanted: str) -> str:
    """A GPU of its own for each process that torchrun starts on a machine."""
    rank = os.environ.get("LOCAL_RANK")
    if rank and wanted in ("auto", "cuda") and torch.cuda.is_available():
        return f"cuda:{rank}"
    return wanted


def _train_watched(run: Run, options: argparse.Namespace, stopped: threading.Event) -> bool:
    """Train a stage with a journal and a progress bar; whether its budget is spent."""
    form = "{desc} {percentage:3.0f}%|{bar}| {postfix}"
    first = run.team.rank == 0
    recorders: list[Recorder] = [Journal(options.run, run.stage)] if first else []
    with ExitStack() as stack:
        bar = stack.enter_context(
            tqdm(total=100.0, desc=run.stage, bar_format=form, disable=not first)
        )
        if options.tensorboard and first:
            events = Events(options.run / "tensorboard", run.stage)
            recorders.append(stack.enter_context(events))

        def report(now: Progress) -> None:
            bar.n = 100 * now.share
            rate, left = now.images_per_second, now.seconds_left / 60
            bar.set_postfix_str(f"{now.images} images, {rate:.1f}/s, {left:.0f} min left")
            if stopped.is_set():
                raise Stopped

        return train(run, options.run, report=report, recorders=recorders)


def read_settings(given: list[str]) -> dict[str, dict[str, Any]]:
    """``["vessel.batch=16"]`` -> ``{"vessel": {"batch": 16}}``.

    Raises:
        SettingsError: if one is not of this form.
    """
    settings: dict[str, dict[str, Any]] = {}
    for text in given:
        name, _, value = text.partition("=")
        stage, _, field = name.partition(".")
        try:
            settings.setdefault(stage, {})[field] = json.loads(value)
        except ValueError as error:
            raise SettingsError(f"{text}: expected STAGE.NAME=NUMBER") from error
    return settings


def explain_settings() -> str:
    """A line for each hyper-parameter: default (on a GPU), bounds, meaning."""
    lines = ["hyper-parameters (default, on a GPU if another; least to most):"]
    for kind in (StageOneSettings, StageTwoSettings):
        for cpu, gpu in zip(kind.describe(gpu=False), kind.describe(gpu=True), strict=True):
            default = f"{cpu['default']:g}"
            if gpu["default"] != cpu["default"]:
                default += f", GPU {gpu['default']:g}"
            bounds = f"{cpu['least']:g} to {cpu['most']:g}"
            lines.append(f"  {kind.stage}.{cpu['name']} ({default}; {bounds}): {cpu['meaning']}")
    return "\n".join(lines)


def read_about(path: Path | None) -> tuple[dict[str, str], Eye | None]:
    """What a package says of its training data, and which eye its maps show if that is known.

    Raises:
        ValueError: naming the file and the field that is missing or wrong.
    """
    if path is None:
        own = {"name": "own data", "licence": "not stated", "attribution": "not stated", "url": ""}
        return own, None
    try:
        about = json.loads(path.read_text())
        facts = {field: str(about[field]) for field in ("name", "licence", "attribution", "url")}
        eye = about.get("eye")
    except (OSError, ValueError, TypeError) as error:
        raise ValueError(f"{path}: not readable as JSON ({error})") from error
    except KeyError as error:
        raise ValueError(f"{path}: field {error} is missing") from error
    if eye not in (None, *get_args(Eye)):
        raise ValueError(f'{path}: field "eye" must be "left" or "right", or be left out')
    return facts, eye
