"""``python -m models.training``: train both stages on a folder of pairs and write a model package."""

from __future__ import annotations

import argparse
import json
import sys
from pathlib import Path
from typing import get_args

import torch

from models.devices import Device, keep_freed_memory
from models.package import Eye
from models.pairs import PairError, find_pairs, load_pairs
from models.training.budget import Budget
from models.training.checkpoint import CheckpointError
from models.training.packaging import Identity, package_run
from models.training.run import Run, train
from models.training.stage_one import StageOne, StageOneSettings
from models.training.stage_two import StageTwo, StageTwoSettings
from models.translator import TranslatorConfig
from models.vessel_gan import VesselConfig

# Share of a pixel from which it counts as vessel. At a half, vessels thinner than a pixel vanish;
# much lower, they grow fat. At 0.35 the vessel share at 256 px is that of the full-size label.
THRESHOLD = 0.35


def parser() -> argparse.ArgumentParser:
    """The command's options."""
    options = argparse.ArgumentParser(prog="python -m models.training", description=__doc__)
    add = options.add_argument
    add(
        "--pairs",
        type=Path,
        required=True,
        help="folder with images/ and labels/ (masks/ optional)",
    )
    add("--first", type=int, help="train on the first N pairs in name order (all)")
    add("--run", type=Path, required=True, help="folder for checkpoints, curves and sample sheets")
    add("--stage", choices=["vessel", "photo", "both"], default="both")
    add("--resolution", type=int, default=256, help="side in pixels, a power of two (256)")
    add("--minutes", type=float, help="budget for each stage in minutes of training")
    add("--images", type=int, help="budget for each stage in images, instead of minutes")
    add("--device", default="auto", help="auto, cpu, cuda, cuda:1 ... (auto)")
    add("--threads", type=int, help="CPU threads (all)")
    add("--seed", type=int, default=0)
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
    except (PairError, CheckpointError, ValueError) as error:
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
    device = Device.choose(options.device)
    pairs = load_pairs(find_pairs(options.pairs, options.first), size=2 * options.resolution)
    options.run.mkdir(parents=True, exist_ok=True)

    one = StageOne(
        pairs,
        VesselConfig.for_resolution(options.resolution),
        StageOneSettings(),
        Budget(minutes=options.minutes, images=options.images),
        device,
        options.seed,
    )
    two = StageTwo(
        pairs,
        options.resolution,
        THRESHOLD,
        TranslatorConfig(),
        StageTwoSettings(),
        Budget(minutes=options.minutes, images=options.images),
        device,
        options.seed,
    )
    runs: list[Run] = [run for run in (one, two) if options.stage in (run.stage, "both")]
    if not all(train(run, options.run) for run in runs):
        return False
    if options.package:
        for run in {one, two} - set(runs):
            run.load(options.run / f"{run.stage}.safetensors")
        name = options.name or options.package.name
        identity = Identity(name, options.version, about, eye)
        package_run(one, two, pairs, identity, options.package)
    return True


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
