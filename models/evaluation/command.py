"""``python -m models.evaluation``: evaluate a model or an order against real pairs.

Started again in another process beside it, the same command takes a share of the steps.
"""

from __future__ import annotations

import argparse
import json
import sys
import threading
from dataclasses import asdict
from pathlib import Path

import torch
from tqdm import tqdm

from models.data.labels import LabelOptions, add_label_arguments, label_options
from models.devices import keep_freed_memory
from models.evaluation.gather import describe, gather
from models.evaluation.pair_arrays import EvaluationData
from models.evaluation.results import StepResult
from models.evaluation.run_folder import PAGE, REPORT, RunFolder
from models.evaluation.settings import EvaluationSettings, Network
from models.evaluation.steps import PARTS, part_of, run_step, steps
from models.evaluation.table import markdown
from models.loading import load_any_package
from models.pairs import find_pairs
from models.signals import stop_on_signals


class Stopped(Exception):
    """The run was asked to stop; what is finished is kept."""


def parser() -> argparse.ArgumentParser:
    """The command's options."""
    options = argparse.ArgumentParser(prog="python -m models.evaluation", description=__doc__)
    add = options.add_argument
    default = EvaluationSettings()
    add("--package", type=Path, metavar="FOLDER", help="the model package")
    add(
        "--order",
        type=Path,
        nargs="+",
        metavar="ZIP",
        default=[],
        help="an order's zips, evaluated in place of pairs that the package draws",
    )
    add("--pairs", type=Path, required=True, metavar="FOLDER", help="real pairs, all of them")
    add(
        "--train",
        type=int,
        metavar="N",
        help="the model learned from the first N real pairs by name (those that the package names); the "
        "others are held out",
    )
    add_label_arguments(options)
    add("--run", type=Path, required=True, metavar="FOLDER", help="folder for the report")
    add(
        "--only",
        nargs="+",
        choices=PARTS,
        metavar="PART",
        help=f"some of {', '.join(PARTS)}: to compare pictures, and what segmenters are trained on (all)",
    )
    add("--pairs-count", type=int, default=default.pairs, help=f"generated pairs ({default.pairs})")
    add("--seeds", type=int, default=default.seeds, help=f"fits of each arm ({default.seeds})")
    add("--steps", type=int, default=default.steps, help=f"steps of each fit ({default.steps})")
    add("--seed", type=int, default=default.seed, help=f"of all that is drawn ({default.seed})")
    add(
        "--copy-overlap",
        type=float,
        default=default.copy_overlap,
        help=f"F1 with a training map from which on a map is a copy ({default.copy_overlap})",
    )
    add(
        "--network",
        type=Network,
        choices=list(Network),
        default=default.network,
        help=f"that is trained: {' or '.join(Network)} ({default.network})",
    )
    add("--device", default="auto", help="where pairs are drawn: auto, cpu, cuda ... (auto)")
    add("--threads", type=int, help="CPU threads (all)")
    add(
        "--without-pictures",
        action="store_true",
        help="leave the sheets out of report.html: they show real photographs, which not everyone may see",
    )
    return options


def main(arguments: list[str] | None = None) -> None:
    """Run the command; exits with 1 and one line on bad input, 3 if stopped before the end."""
    options = parser().parse_args(arguments)
    try:
        evaluate(options)
    except ValueError as error:
        sys.exit(f"error: {error}")
    except (Stopped, KeyboardInterrupt):
        print(
            "stopped: finished steps are kept, the same command goes on from here", file=sys.stderr
        )
        sys.exit(3)


def evaluate(options: argparse.Namespace) -> None:
    """Take the steps that are left, then write the report.

    Raises:
        ValueError: on bad input. Stopped after SIGINT or SIGTERM.
    """
    settings = EvaluationSettings(
        options.pairs_count,
        options.seeds,
        options.steps,
        options.seed,
        options.copy_overlap,
        options.network,
    )
    keep_freed_memory()
    if options.threads:
        torch.set_num_threads(options.threads)
    package = load_any_package(options.package) if options.package else None
    every = steps(settings, rendered=package is not None)
    if lacking := set(options.only or ()) - {part_of(step) for step in every}:
        raise ValueError(
            f"--only {', '.join(lacking)}: needs --package, which photographs real labels"
        )
    wanted = [step for step in every if options.only is None or part_of(step) in options.only]
    files = find_pairs(options.pairs)
    labels = label_options(options)
    asked = {
        "package": package.digest if package else None,
        "order": [path.name for path in options.order],
        "pairs": [file.photo.name for file in files],
        "train": options.train,
        "settings": asdict(settings),
    }
    if labels != LabelOptions():
        asked["labels"] = asdict(labels)
    run = RunFolder(options.run, asked)
    with run.taken("pairs", wait=True):
        data = run.pairs()
        if data is None:
            print("reading and drawing pairs", file=sys.stderr)
            data = gather(
                files, settings, package, options.order, options.train, options.device, labels
            )
            run.keep_pairs(data)
    with stop_on_signals() as stopped:
        for number, step in enumerate(wanted, start=1):
            with run.taken(step) as ours:
                if ours and run.result(step) is None:
                    title = f"{step}, {number} of {len(wanted)}"
                    run.keep(step, _take_watched(step, title, data, settings, stopped))
    facts = describe(data, package, options.order)
    done = {step: result for step in every if (result := run.result(step))}
    run.write_report(settings, facts, done, not options.without_pictures)
    print(markdown([json.loads((options.run / REPORT).read_text())]))
    print(f"wrote {options.run / REPORT} and {options.run / PAGE}")


def _take_watched(
    step: str,
    title: str,
    data: EvaluationData,
    settings: EvaluationSettings,
    stopped: threading.Event,
) -> StepResult:
    """Take a step with a progress bar."""
    form = "{desc} {percentage:3.0f}%|{bar}| {elapsed}, {remaining} left"
    with tqdm(total=100.0, desc=title, bar_format=form) as bar:

        def report(share: float) -> None:
            bar.update(100 * share - bar.n)
            if stopped.is_set():
                raise Stopped

        result = run_step(step, data, settings, report)
        bar.update(100 - bar.n)
    return result
